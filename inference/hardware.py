"""What is this machine, and what does that mean for batch inference on it?

Light on purpose: the web server imports this, so nothing here imports ray, torch or transformers. Whatever
cannot be found out is None, never 0, and never an exception.
"""

import hashlib
import json
import os
import platform
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import psutil

from inference import cpu
from inference.cpu import best_instructions, cpu_quota, parse_cpu_flags
from inference.environment import environment_notes
from inference.gpu import Gpu, detect_gpus, parse_nvidia_smi, visible_gpus

__all__ = [
    "Fact",
    "Gpu",
    "Hardware",
    "chip",
    "cpu_quota",
    "detect",
    "environment_notes",
    "facts",
    "fingerprint",
    "from_dict",
    "parse_cpu_flags",
    "parse_nvidia_smi",
    "to_dict",
    "usable_gpus",
    "visible_gpus",
    "with_ray",
]

SHM = Path("/dev/shm")  # noqa: S108 - only its free space is read
PACKAGES = (
    "ray",
    "torch",
    "transformers",
    "streamlit",
    "numpy",
    "pillow",
    "pyarrow",
    "safetensors",
    "altair",
    "openvino",
)
"""The packages whose versions a record keeps."""

_NEEDED = ("ray", "torch", "transformers")
_GIB = 1024**3
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The machine as one process sees it: limits of containers applied, no names of hosts or people."""

    cpus: int
    """Whole processors this process may use: ``cpu_limit`` rounded down, at least 1."""
    cpu_limit: float
    """The same exactly: the smaller of affinity and control-group quota, e.g. 1.5."""
    cpus_logical: int | None = None
    """Logical processors of the machine."""
    cpus_physical: int | None = None
    """Physical cores of the machine."""
    cpu_model: str | None = None
    """The processor's name."""
    instructions: tuple[str, ...] = ()
    """Instruction sets that matter for inference, from plain to special; empty where none is known."""
    memory_bytes: int | None = None
    """Memory this process may use: the control group's limit, or all there is."""
    memory_available_bytes: int | None = None
    """How much of it could be used now without swapping."""
    swap_bytes: int | None = None
    """Swap space of the machine."""
    shm_bytes: int | None = None
    """Free bytes in /dev/shm, where Ray keeps blocks on Linux; None elsewhere."""
    gpus: tuple[Gpu, ...] = ()
    """Accelerators this process may use."""
    disk_path: str | None = None
    """The folder whose disk the next two describe."""
    disk_free_bytes: int | None = None
    """Free bytes on that disk for this user."""
    disk_total_bytes: int | None = None
    """Size of that disk in bytes."""
    os: str | None = None
    """Operating system and its version."""
    python: str | None = None
    """Python's version."""
    compiler: str | None = None
    """The C++ compiler that torch.compile would use for the processor; None if there is none."""
    versions: tuple[tuple[str, str], ...] = ()
    """(package, version) of those of PACKAGES that are installed."""
    ray: tuple[tuple[str, float], ...] | None = None
    """(resource, amount) as Ray counts them; None until a Ray has been asked."""

    def version(self, package: str) -> str | None:
        """The version of an installed package, or None."""
        return dict(self.versions).get(package)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing about the machine, and why it matters."""

    title: str
    """Processor, Memory, Accelerator, Disk or Software."""
    value: str
    """The fact as a person wants to read it."""
    meaning: str
    """What it means for batch inference here."""


def detect(
    disk_path: Path,
    *,
    proc: Path = cpu.PROC,
    cgroup: Path = cpu.CGROUP,
    shm: Path = SHM,
    environ: Mapping[str, str] = os.environ,
) -> Hardware:
    """Look at this machine; ``disk_path`` need not exist yet. Takes seconds only where a GPU driver hangs."""
    limits = (cpu.usable_processors(), cpu_quota(proc, cgroup))
    cpu_limit = float(min((limit for limit in limits if limit is not None), default=1))
    model, instructions = cpu.cpu_model_and_instructions(proc)
    memory = _or_none(psutil.virtual_memory)
    memory_bytes = _least(memory and memory.total, cpu.memory_limit(proc, cgroup))
    disk = _disk_usage(disk_path)
    return Hardware(
        cpus=max(1, int(cpu_limit)),
        cpu_limit=cpu_limit,
        cpus_logical=os.cpu_count(),
        cpus_physical=_or_none(lambda: psutil.cpu_count(logical=False)),
        cpu_model=model,
        instructions=instructions,
        memory_bytes=memory_bytes,
        memory_available_bytes=_least(memory and memory.available, cpu.memory_headroom(proc, cgroup)),
        swap_bytes=_or_none(lambda: int(psutil.swap_memory().total)),
        shm_bytes=_or_none(lambda: shutil.disk_usage(shm).free),
        gpus=detect_gpus(environ, cpu_model=model, memory_bytes=memory_bytes),
        disk_path=str(disk_path),
        disk_free_bytes=disk[0] if disk else None,
        disk_total_bytes=disk[1] if disk else None,
        os=_os_name(),
        python=platform.python_version(),
        compiler=_compiler(environ),
        versions=_versions(),
    )


def _compiler(environ: Mapping[str, str]) -> str | None:
    """What TorchInductor would call (2.13): `CXX`, else the system's usual one."""
    return shutil.which(environ.get("CXX") or ("clang++" if platform.system() == "Darwin" else "g++"))


def _or_none(probe: Callable[[], _T]) -> _T | None:
    """A probe's answer, or None where the system does not give it."""
    try:
        return probe()
    # psutil raises its own errors, and KeyError or ValueError where a kernel's file lacks what it expects.
    except (OSError, RuntimeError, ValueError, KeyError, AttributeError, NotImplementedError, psutil.Error):
        return None


def _least(*amounts: int | None) -> int | None:
    return min((int(amount) for amount in amounts if amount is not None), default=None)


def _disk_usage(path: Path) -> tuple[int, int] | None:
    """(free, total) bytes of the disk that holds the path, or would hold it once it is made."""
    for folder in (path.absolute(), *path.absolute().parents):
        usage = _or_none(partial(shutil.disk_usage, folder))
        if usage is not None:
            return usage.free, usage.total
    return None


def _os_name() -> str | None:
    if platform.system() == "Darwin":
        return f"macOS {platform.mac_ver()[0]}".strip()
    release = _or_none(platform.freedesktop_os_release) or {}
    kernel = f"{platform.system()} {platform.release()}".strip()
    name = release.get("PRETTY_NAME")
    return (f"{name}, {kernel}" if name else kernel) or None


def _versions() -> tuple[tuple[str, str], ...]:
    found = []
    for package in PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def with_ray(hardware: Hardware, resources: Mapping[str, float]) -> Hardware:
    """The same with ``ray.cluster_resources()``, less its ``node:`` entries, which hold addresses."""
    kept = {name: float(amount) for name, amount in resources.items() if not name.startswith("node:")}
    return replace(hardware, ray=tuple(sorted(kept.items())))


def to_dict(hardware: Hardware) -> dict[str, Any]:
    """The record as plain JSON values; pairs become objects."""
    record = asdict(hardware)
    record["instructions"] = list(hardware.instructions)
    record["gpus"] = list(record["gpus"])
    record["versions"] = dict(hardware.versions)
    record["ray"] = None if hardware.ray is None else dict(hardware.ray)
    return record


def from_dict(d: Mapping[str, Any]) -> Hardware:
    """The record back from ``to_dict``; unknown keys are dropped, and missing ones are unknown values."""
    values = _known_fields(Hardware, d)
    values["cpus"] = int(d.get("cpus") or 1)
    values["cpu_limit"] = float(d.get("cpu_limit") or values["cpus"])
    values["instructions"] = tuple(d.get("instructions") or ())
    values["gpus"] = tuple(
        Gpu(**{"index": number, "name": f"GPU {number}", **_known_fields(Gpu, gpu)})
        for number, gpu in enumerate(d.get("gpus") or ())
    )
    values["versions"] = tuple(dict(d.get("versions") or {}).items())
    ray = d.get("ray")
    values["ray"] = None if ray is None else tuple(dict(ray).items())
    return Hardware(**values)


def _known_fields(kind: type, d: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: d[field.name] for field in fields(kind) if field.name in d}


def fingerprint(hardware: Hardware) -> str:
    """Twelve characters that are equal for two records whose timings may be compared.

    They stand for the processor, how many of it, the memory in whole GiB, the GPUs and torch's version.
    """
    memory_gib = None if hardware.memory_bytes is None else round(hardware.memory_bytes / _GIB)
    gpus = sorted(Counter(gpu.name for gpu in hardware.gpus).items())
    parts = [hardware.cpu_model, hardware.cpus, memory_gib, gpus, hardware.version("torch")]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def usable_gpus(hardware: Hardware) -> tuple[Gpu, ...]:
    """The GPUs that the installed torch can compute on, as far as its version tells."""
    # Builds without CUDA carry the local version "+cpu" in their metadata.
    without_cuda = (hardware.version("torch") or "").endswith("+cpu")
    return tuple(gpu for gpu in hardware.gpus if gpu.kind != "cuda" or not without_cuda)


def chip(hardware: Hardware) -> str:
    """The machine in one line: ``2 CPU · 23 GiB · AVX-512 bf16 · no GPU``. What is unknown is left out."""
    parts = [
        f"{_amount(hardware.cpu_limit)} CPU",
        _size(hardware.memory_bytes),
        best_instructions(hardware.instructions),
        _gpus_text(hardware.gpus) or "no GPU",
    ]
    return " · ".join(part for part in parts if part)


def facts(hardware: Hardware) -> tuple[Fact, ...]:
    """Processor, memory, accelerator, disk and software, each with what it means for batch inference here."""
    return (
        Fact(title="Processor", value=_processor_value(hardware), meaning=_processor_meaning(hardware)),
        Fact(title="Memory", value=_memory_value(hardware), meaning=_memory_meaning(hardware)),
        Fact(title="Accelerator", value=_accelerator_value(hardware), meaning=_accelerator_meaning(hardware)),
        Fact(title="Disk", value=_disk_value(hardware), meaning=_disk_meaning(hardware)),
        Fact(title="Software", value=_software_value(hardware), meaning=_software_meaning(hardware)),
    )


def _processor_value(hardware: Hardware) -> str:
    count = _amount(hardware.cpu_limit)
    if hardware.cpus_logical is not None and hardware.cpu_limit < hardware.cpus_logical:
        count = f"{count} of {hardware.cpus_logical}"
    noun = "CPU" if count == "1" else "CPUs"
    return " · ".join([hardware.cpu_model or "Unknown model", f"{count} {noun}", *hardware.instructions])


def _processor_meaning(hardware: Hardware) -> str:
    cpus, workers = hardware.cpus, hardware.cpus - 1
    gpus = usable_gpus(hardware)
    if gpus:
        noun = "1 CPU reads and decodes" if cpus == 1 else f"{cpus} CPUs read and decode"
        sentences = [f"{noun} images while the GPU computes."]
    elif cpus == 1:
        sentences = ["1 CPU: reading, decoding and the model take turns on it."]
    else:
        noun = "one worker computes" if workers == 1 else f"up to {workers} workers of one CPU each compute"
        more = "1 worker" if workers == 1 else f"{workers} workers"
        sentences = [f"{cpus} CPUs: {noun} while one CPU reads and decodes; more than {more} would starve the reader."]
    if hardware.cpu_limit != hardware.cpus:
        sentences.append(f"The limit of {_amount(hardware.cpu_limit)} CPUs counts as {cpus} for whole workers.")
    if hardware.cpus_physical is not None and cpus > hardware.cpus_physical:
        cores = "one core" if hardware.cpus_physical == 1 else f"{hardware.cpus_physical} cores"
        sentences.append(f"They are threads of {cores}, so the last workers may add little.")
    if not gpus and hardware.instructions:
        sentences.append(_precision_sentence(hardware.instructions))
    ray_cpus = dict(hardware.ray or ()).get("CPU")
    if ray_cpus is not None and ray_cpus != cpus:
        sentences.append(f"Ray counts {_amount(ray_cpus)} CPUs.")
    return " ".join(sentences)


def _precision_sentence(instructions: tuple[str, ...]) -> str:
    if any(name in instructions for name in ("AMX bf16", "AVX-512 bf16")):
        return "bf16 instructions: bfloat16 is likely the fastest precision on this processor."
    if any(name.endswith("bf16") for name in instructions):
        # On Arm it depends on how torch was built.
        return "bf16 instructions: bfloat16 may be faster than float32 on this processor."
    return "No bf16 instructions found: float32 is likely the fastest precision on this processor."


def _memory_value(hardware: Hardware) -> str:
    available = _size(hardware.memory_available_bytes)
    return (_size(hardware.memory_bytes) or "Unknown") + (f", {available} available" if available else "")


def _memory_meaning(hardware: Hardware) -> str:
    sentences = []
    if hardware.memory_available_bytes is None:
        sentences.append("How much is available could not be read, so watch memory when you raise batch size.")
    elif hardware.cpus == 1:
        sentences.append("The reader and the worker share it, with Ray's store of blocks.")
    else:
        share = _size(hardware.memory_available_bytes // hardware.cpus)
        sentences.append(
            f"With one process on each of {hardware.cpus} CPUs that is about {share} each, "
            "for weights, a batch of images and Ray's store of blocks."
        )
    # Ray 2.60 sizes its store at 30 % of memory and moves it to /tmp where /dev/shm has less.
    if _share(hardware.shm_bytes, hardware.memory_bytes) < 0.3:
        sentences.append(
            f"{SHM} has {_size(hardware.shm_bytes)} free, less than the 30 % of memory that Ray's store "
            "takes unless it is told otherwise; Ray would use slower files."
        )
    if hardware.swap_bytes == 0:
        sentences.append("There is no swap: a worker that needs more is ended.")
    return " ".join(sentences)


def _accelerator_value(hardware: Hardware) -> str:
    if not hardware.gpus:
        return "No GPU"
    first = hardware.gpus[0]
    details = [
        f"driver {first.driver}" if first.driver else None,
        f"compute capability {first.capability}" if first.capability else None,
        "memory shared with the processor" if first.kind == "mps" else None,
    ]
    return ", ".join([_gpus_text(hardware.gpus), *(detail for detail in details if detail)])


def _accelerator_meaning(hardware: Hardware) -> str:
    if not hardware.gpus:
        return "No GPU: the model runs on the processor."
    if not usable_gpus(hardware):
        torch = hardware.version("torch")
        return f"The installed torch {torch} is built without CUDA, so the model runs on the processor."
    first, many = hardware.gpus[0], len(hardware.gpus)
    sentences = ["1 GPU: one worker takes all of it." if many == 1 else f"{many} GPUs: one worker for each."]
    major = first.capability.partition(".")[0]
    if major.isdecimal() and int(major) >= 8:
        sentences.append("It computes bfloat16 natively, so that is likely faster than float32.")
    elif major.isdecimal() and int(major) == 7:
        sentences.append("It computes float16 natively but not bfloat16, so float16 is likely the faster one.")
    return " ".join(sentences)


def _disk_value(hardware: Hardware) -> str:
    free, total = _size(hardware.disk_free_bytes), _size(hardware.disk_total_bytes)
    return f"{free} free of {total}" if free and total else "Unknown"


def _disk_meaning(hardware: Hardware) -> str:
    if None in (hardware.disk_free_bytes, hardware.disk_total_bytes):
        return "The free space could not be read; results and downloaded models need some."
    if _share(hardware.disk_free_bytes, hardware.disk_total_bytes) < 0.05:
        return "Almost full: saving results may fail, and Ray keeps no blocks on a disk over 95 % full."
    return "Results, sample images and downloaded models are kept here."


def _software_value(hardware: Hardware) -> str:
    shown = [f"{name} {version}" for name, version in hardware.versions if name in _NEEDED]
    python = f"Python {hardware.python}" if hardware.python else None
    return " · ".join(part for part in (python, *shown, hardware.os) if part) or "Unknown"


def _software_meaning(hardware: Hardware) -> str:
    missing = [name for name in _NEEDED if hardware.version(name) is None]
    if missing:
        return f"Not installed: {', '.join(missing)}. Runs need {'it' if len(missing) == 1 else 'them'}."
    return f"Timings compare only between runs with the same torch, here {hardware.version('torch')}."


def _gpus_text(gpus: tuple[Gpu, ...]) -> str:
    """``1 × H200 140 GiB``, like ones counted together, in the order found; empty without a GPU."""
    counts = Counter((_short_name(gpu), None if gpu.kind == "mps" else _size(gpu.memory_bytes)) for gpu in gpus)
    return " + ".join(f"{count} × {name}" + (f" {size}" if size else "") for (name, size), count in counts.items())


def _short_name(gpu: Gpu) -> str:
    if gpu.kind == "mps":
        return f"{gpu.name} GPU"
    name = gpu.name
    for maker in ("NVIDIA ", "GeForce ", "Tesla "):
        name = name.removeprefix(maker)
    return name


def _amount(number: float) -> str:
    return f"{round(number, 2):g}"


def _size(size_bytes: int | None) -> str | None:
    """``23 GiB``, rounded down so that no more is promised than there is; None for None."""
    if size_bytes is None:
        return None
    for unit, name in ((_GIB, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if size_bytes >= unit:
            tenths = size_bytes * 10 // unit
            return f"{tenths // 10} {name}" if tenths >= 100 or tenths % 10 == 0 else f"{tenths / 10:.1f} {name}"
    return f"{size_bytes} B"


def _share(part: int | None, whole: int | None) -> float:
    """part / whole, and 1 where that cannot be said."""
    return part / whole if part is not None and whole else 1.0
