"""Which accelerators this process may use, asked of the driver's own tool rather than of torch."""

import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from inference.cpu import run_tool

_MIB = 1024 * 1024
_QUERY = ("index", "name", "memory.total", "driver_version", "compute_cap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One accelerator."""

    index: int
    """Its number in the driver's list, before CUDA_VISIBLE_DEVICES renumbers what is left."""
    name: str
    """As the driver gives it, e.g. ``NVIDIA H200``."""
    memory_bytes: int | None = None
    """Its memory; on Apple silicon that of the whole machine, which it shares; None where unknown."""
    driver: str | None = None
    """The driver's version, or None where unknown."""
    capability: str = ""
    """CUDA compute capability such as ``9.0``, or empty where unknown."""
    kind: str = "cuda"
    """``cuda`` or ``mps``: the device that torch would call it."""


def parse_nvidia_smi(text: str) -> tuple[Gpu, ...]:
    """The GPUs in the lines of ``nvidia-smi --query-gpu=… --format=csv,noheader,nounits``.

    Columns: index, name, memory in MiB, driver version and, from drivers that know it, compute capability. A
    line that does not begin with a number (a message, a warning) is no GPU; ``[N/A]`` is unknown.
    """
    gpus = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) not in (4, 5) or not fields[0].isdecimal():
            continue
        index, name, memory_mib, driver, capability = _known(*fields, *[""] * (5 - len(fields)))
        gpus.append(
            Gpu(
                index=int(fields[0]),
                name=name or f"GPU {index}",
                memory_bytes=int(memory_mib) * _MIB if memory_mib.isdecimal() and int(memory_mib) else None,
                driver=driver or None,
                capability=capability,
            )
        )
    return tuple(gpus)


def _known(*fields: str) -> tuple[str, ...]:
    # "[N/A]", "N/A", "[Not Supported]", "[Unknown Error]", "[Insufficient Permissions]"
    return tuple("" if field.startswith("[") or field == "N/A" else field for field in fields)


def visible_gpus(gpus: tuple[Gpu, ...], setting: str | None, uuids: Mapping[int, str] | None = None) -> tuple[Gpu, ...]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves, in its order; all of them where it is not set (None).

    As CUDA reads it: numbers or beginnings of UUIDs, and the first entry that names nothing ends the list, so
    that an empty setting and ``-1`` both hide everything. ``uuids`` maps a GPU's index to its UUID.
    """
    if setting is None:
        return gpus
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in setting.split(",")):
        if entry.startswith("MIG-"):
            # CUDA uses one slice of a divided GPU at most; how large it is, this list does not say.
            return (*chosen, _slice_of(gpus)) if gpus else tuple(chosen)
        gpu = next((gpu for gpu in gpus if _is_named(gpu, entry, uuids or {})), None)
        if gpu is None:
            break
        if gpu not in chosen:
            chosen.append(gpu)
    return tuple(chosen)


def _is_named(gpu: Gpu, entry: str, uuids: Mapping[int, str]) -> bool:
    if entry.startswith("GPU-"):
        return uuids.get(gpu.index, "").startswith(entry)
    return entry == str(gpu.index)


def _slice_of(gpus: tuple[Gpu, ...]) -> Gpu:
    first = gpus[0]
    if any((gpu.name, gpu.capability) != (first.name, first.capability) for gpu in gpus):
        return Gpu(index=0, name="MIG slice", driver=first.driver)
    return Gpu(index=0, name=f"{first.name} MIG slice", driver=first.driver, capability=first.capability)


def detect_gpus(
    environ: Mapping[str, str], *, cpu_model: str | None = None, memory_bytes: int | None = None
) -> tuple[Gpu, ...]:
    """The GPUs that this process may use: NVIDIA's through ``nvidia-smi``, or Apple's own.

    ``environ`` gives PATH and CUDA_VISIBLE_DEVICES; ``cpu_model`` and ``memory_bytes`` describe Apple
    silicon, where the GPU is part of the processor and shares its memory. A tool that hangs is given up after
    5 s.
    """
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return (Gpu(index=0, name=cpu_model or "Apple silicon", memory_bytes=memory_bytes, kind="mps"),)
    tool = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if tool is None:
        return ()
    text = _query(tool, _QUERY)
    if text is None:
        # Drivers before 510 refuse the whole question because of a column that they do not know.
        text = _query(tool, _QUERY[:-1])
    gpus = parse_nvidia_smi(text or "")
    setting = environ.get("CUDA_VISIBLE_DEVICES")
    uuids = _parse_uuids(_query(tool, ("index", "uuid")) or "") if setting and "GPU-" in setting else {}
    return visible_gpus(gpus, setting, uuids)


def _query(tool: str, columns: tuple[str, ...]) -> str | None:
    return run_tool([tool, f"--query-gpu={','.join(columns)}", "--format=csv,noheader,nounits"])


def _parse_uuids(text: str) -> dict[int, str]:
    pairs = (line.partition(",") for line in text.splitlines())
    return {int(index): uuid.strip() for index, _, uuid in pairs if index.strip().isdecimal()}
