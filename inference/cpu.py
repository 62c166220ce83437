"""What the processor is, and how much of it and of the memory this process may really use.

Light on purpose: standard library only, and every probe answers ``None`` where a file or a tool is absent.
The folders that are read can be passed in, so that tests use real files.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")

# cgroup v1 writes "no limit" as the largest multiple of a page; no machine has that much memory.
_UNLIMITED_BYTES = 1 << 60

# Kernel flag → the name shown, from plain to special.
_X86_FLAGS = {
    "avx": "AVX",
    "avx2": "AVX2",
    "avx_vnni": "AVX VNNI",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 bf16",
    "avx512_fp16": "AVX-512 fp16",
    "amx_int8": "AMX int8",
    "amx_bf16": "AMX bf16",
    "amx_fp16": "AMX fp16",
}
_ARM_FLAGS = {
    "neon": "NEON",
    "asimd": "NEON",
    "asimdhp": "NEON fp16",
    "i8mm": "NEON int8",
    "bf16": "NEON bf16",
    "sve": "SVE",
    "sve2": "SVE2",
    "svebf16": "SVE bf16",
}
_SYSCTL_FLAGS = {
    "hw.optional.avx1_0": "AVX",
    "hw.optional.avx2_0": "AVX2",
    "hw.optional.avx512f": "AVX-512",
    "hw.optional.neon": "NEON",
    "hw.optional.AdvSIMD": "NEON",
    "hw.optional.arm.AdvSIMD": "NEON",
    "hw.optional.arm.FEAT_FP16": "NEON fp16",
    "hw.optional.arm.FEAT_I8MM": "NEON int8",
    "hw.optional.arm.FEAT_BF16": "NEON bf16",
}
# The one that says most about a processor, best first.
_BEST_FIRST = (
    *("AMX bf16", "AVX-512 bf16", "AVX-512", "AVX2", "AVX"),
    *("SVE bf16", "NEON bf16", "SVE2", "SVE", "NEON"),
)

# Arm kernels give numbers instead of a name: (implementer, part) of the cores found in servers.
_ARM_PARTS = {
    ("0x41", "0xd0c"): "Arm Neoverse N1",
    ("0x41", "0xd40"): "Arm Neoverse V1",
    ("0x41", "0xd49"): "Arm Neoverse N2",
    ("0x41", "0xd4f"): "Arm Neoverse V2",
}


def read_text(path: Path) -> str | None:
    """The text of a small file, or None where it is absent or unreadable."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return None


def run_tool(command: list[str], *, timeout_s: float = 5.0) -> str | None:
    """The standard output of a tool, or None where it is absent, fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", errors="replace") if done.returncode == 0 else None


def sysctl(*arguments: str) -> str | None:
    """The answer of macOS's ``sysctl``, or None elsewhere."""
    tool = shutil.which("sysctl")
    return run_tool([tool, *arguments]) if tool else None


def parse_cpu_flags(text: str) -> tuple[str, ...]:
    """The instruction sets in ``/proc/cpuinfo`` that matter for inference, as shown, from plain to special.

    Only those that every listed processor has: a process may be moved to any of them. ``AVX`` is left out
    where ``AVX2`` includes it.
    """
    # The line's key decides the table: an AMD processor's "sme" is memory encryption, an Arm's is matrices.
    tables = {"flags": _X86_FLAGS, "Features": _ARM_FLAGS}
    common: set[str] | None = None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        table = tables.get(key.strip())
        if table is not None:
            names = {table[flag] for flag in value.split() if flag in table}
            common = names if common is None else common & names
    return _in_order(common or set())


def parse_sysctl_flags(text: str) -> tuple[str, ...]:
    """The same from macOS's ``sysctl hw.optional``, whose lines read ``hw.optional.avx2_0: 1``."""
    pairs = (line.partition(":") for line in text.splitlines())
    return _in_order({_SYSCTL_FLAGS[key] for key, _, value in pairs if value.strip() == "1" and key in _SYSCTL_FLAGS})


def _in_order(names: set[str]) -> tuple[str, ...]:
    known = dict.fromkeys((*_X86_FLAGS.values(), *_ARM_FLAGS.values()))
    if "AVX2" in names:
        names = names - {"AVX"}
    return tuple(name for name in known if name in names)


def best_instructions(instructions: tuple[str, ...]) -> str | None:
    """The one instruction set that says most about a processor, or None where none is known."""
    return next((name for name in _BEST_FIRST if name in instructions), None)


def parse_cpu_model(text: str) -> str | None:
    """The processor's name in ``/proc/cpuinfo``, or None where the kernel gives none that is known here."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if separator:
            fields.setdefault(key.strip(), " ".join(value.split()))
    arm = _ARM_PARTS.get((fields.get("CPU implementer", ""), fields.get("CPU part", "")))
    return fields.get("model name") or arm or fields.get("Hardware") or fields.get("Model") or None


def cpu_model_and_instructions(proc: Path = PROC) -> tuple[str | None, tuple[str, ...]]:
    """The processor's name and instruction sets, from the kernel's files or else from ``sysctl``."""
    text = read_text(proc / "cpuinfo")
    if text is not None:
        return parse_cpu_model(text), parse_cpu_flags(text)
    model = (sysctl("-n", "machdep.cpu.brand_string") or "").strip()
    return model or None, parse_sysctl_flags(sysctl("hw.optional") or "")


def usable_processors() -> int | None:
    """How many logical processors this process's affinity allows."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        count: int | None = os.process_cpu_count()
        return count
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def cpu_quota(proc: Path = PROC, cgroup: Path = CGROUP) -> float | None:
    """The processors' worth of time that control groups grant, e.g. 1.5; None without a limit.

    It is the smallest on the way from the process's own group up to the root, because every one applies.
    """
    return min((quota for quota, _ in _cpu_groups(proc, cgroup)), default=None)


def quota_group_cpu_s(proc: Path = PROC, cgroup: Path = CGROUP) -> float | None:
    """CPU seconds that all processes under the quota of `cpu_quota` have used so far; None without a quota."""
    _, folder = min(_cpu_groups(proc, cgroup), default=(None, None))
    if folder is None:
        return None
    fields = dict(line.split(maxsplit=1) for line in _two_word_lines(read_text(folder / "cpu.stat")))
    microseconds = _whole_number(fields.get("usage_usec", ""))
    if microseconds is not None:
        return microseconds / 1e6
    nanoseconds = _first_number(folder, "cpuacct.usage")  # version 1, where both controllers are mounted as one
    return None if nanoseconds is None else nanoseconds / 1e9


def _cpu_groups(proc: Path, cgroup: Path) -> Iterator[tuple[float, Path]]:
    """Each group with a quota: (processors' worth of time, its folder)."""
    for folder in _groups("cpu", proc, cgroup):
        # Version 2 keeps "quota period" or "max period" in one file, version 1 one number in each of two.
        words = (read_text(folder / "cpu.max") or "").split()
        if not words:
            quota, period = read_text(folder / "cpu.cfs_quota_us"), read_text(folder / "cpu.cfs_period_us")
            words = [*(quota or "").split(), *(period or "").split()]
        numbers = [_whole_number(word) for word in words]
        if len(numbers) == 2 and numbers[0] and numbers[1]:
            yield numbers[0] / numbers[1], folder


def memory_limit(proc: Path = PROC, cgroup: Path = CGROUP) -> int | None:
    """The smallest memory limit in bytes on the way from the process's group up; None without a limit."""
    return min((limit for limit, _ in _memory_groups(proc, cgroup)), default=None)


def memory_headroom(proc: Path = PROC, cgroup: Path = CGROUP) -> int | None:
    """The bytes that can still be used before a control group's memory limit is met; None without a limit."""
    left: list[int] = []
    for limit, folder in _memory_groups(proc, cgroup):
        used = _first_number(folder, "memory.current", "memory.usage_in_bytes")
        if used is not None:
            # File cache counts as used, but the kernel gives it back on demand.
            left.append(max(0, limit - max(0, used - _inactive_file_bytes(folder))))
    return min(left, default=None)


def _memory_groups(proc: Path, cgroup: Path) -> Iterator[tuple[int, Path]]:
    """Each group with a real memory limit: (limit in bytes, its folder)."""
    for folder in _groups("memory", proc, cgroup):
        limit = _first_number(folder, "memory.max", "memory.limit_in_bytes")
        if limit is not None and 0 < limit < _UNLIMITED_BYTES:
            yield limit, folder


def _inactive_file_bytes(folder: Path) -> int:
    fields = dict(line.split(maxsplit=1) for line in _two_word_lines(read_text(folder / "memory.stat")))
    # Version 1's plain "inactive_file" leaves out the groups below.
    return _whole_number(fields.get("total_inactive_file") or fields.get("inactive_file") or "") or 0


def _two_word_lines(text: str | None) -> list[str]:
    return [line for line in (text or "").splitlines() if len(line.split()) == 2]


def _first_number(folder: Path, *names: str) -> int | None:
    """The whole number in the first of these files that exists; None where it is a word such as ``max``."""
    for name in names:
        text = read_text(folder / name)
        if text is not None:
            return _whole_number(text.strip())
    return None


def _whole_number(word: str) -> int | None:
    return int(word) if word.isdecimal() else None


def _groups(controller: str, proc: Path, cgroup: Path) -> Iterator[Path]:
    """The folders that may limit this process, its own group first, for both versions of control groups.

    Inside a container the path in ``/proc/self/cgroup`` may belong to the host and not exist here; the root
    of what is mounted is the container's own group then, and it is always among the answers.
    """
    for line in (read_text(proc / "self" / "cgroup") or "0::/").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers and number == "0":
            roots = [cgroup, cgroup / "unified"]
        elif controller in controllers.split(","):
            roots = list(dict.fromkeys((cgroup / controllers, cgroup / controller)))
        else:
            continue
        # ".." means that the group lies outside of what this container can see.
        parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
        for root in roots:
            for depth in range(len(parts), -1, -1):
                yield root.joinpath(*parts[:depth])
