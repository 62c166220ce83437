"""Which options of a run this hardware and this installation have."""

from __future__ import annotations

from inference.hardware import Hardware, usable_gpus

INSTALL_OPENVINO = "pip install batchscope[openvino]"


def best_dtype(hardware: Hardware) -> str:
    """The precision that is safe and likely the fastest here: the lowest one that the hardware computes natively.

    A GPU of compute capability 8 or more and a processor with AVX-512 or AMX instructions for it have bfloat16, which
    keeps float32's range. Capability 7 has float16 alone. Anything else stays at float32.
    """
    for gpu in usable_gpus(hardware):
        major = gpu.capability.partition(".")[0]
        if gpu.kind == "cuda" and major.isdecimal():
            return "bfloat16" if int(major) >= 8 else "float16" if int(major) == 7 else "float32"
    if any(name in hardware.instructions for name in ("AMX bf16", "AVX-512 bf16")):
        return "bfloat16"
    return "float32"


def missing_for(backend: str, hardware: Hardware, *, on_gpu: bool = False) -> str | None:
    """What a backend lacks here, as a sentence that says what to do; None where it can be used."""
    if backend == "openvino":
        if on_gpu:
            return "OpenVINO runs on the processor: set GPUs per worker to 0, or take another backend"
        if hardware.version("openvino") is None:
            return f"OpenVINO is not installed: {INSTALL_OPENVINO}"
    if backend == "compile" and not on_gpu and hardware.compiler is None:
        return "torch.compile needs a C++ compiler, and none was found: install g++ or clang"
    return None
