"""Which precision and which backends a machine has."""

import pytest

from inference.capabilities import best_dtype, missing_for
from inference.hardware import Gpu, Hardware

GIB = 1024**3


def machine(
    *,
    instructions: tuple[str, ...] = (),
    capability: str | None = None,
    compiler: str | None = None,
    packages: tuple[str, ...] = (),
) -> Hardware:
    gpus = () if capability is None else (Gpu(index=0, name="G", memory_bytes=16 * GIB, capability=capability),)
    return Hardware(
        cpus=2,
        cpu_limit=2.0,
        instructions=instructions,
        gpus=gpus,
        compiler=compiler,
        versions=tuple((package, "1.0") for package in packages),
    )


@pytest.mark.parametrize(
    ("instructions", "dtype"),
    [
        ((), "float32"),
        (("AVX2",), "float32"),
        (("AVX2", "AVX-512", "AVX-512 VNNI"), "float32"),
        (("AVX2", "AVX-512", "AVX-512 bf16"), "bfloat16"),
        (("AVX-512", "AMX bf16"), "bfloat16"),
    ],
)
def test_a_processor_computes_in_bfloat16_where_it_has_instructions_for_it(
    instructions: tuple[str, ...], dtype: str
) -> None:
    assert best_dtype(machine(instructions=instructions)) == dtype


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [("9.0", "bfloat16"), ("10.0", "bfloat16"), ("8.0", "bfloat16"), ("7.5", "float16"), ("6.1", "float32")],
)
def test_a_gpus_generation_decides_on_its_precision(capability: str, dtype: str) -> None:
    assert best_dtype(machine(capability=capability)) == dtype


def test_a_gpu_decides_before_the_processor_does() -> None:
    assert best_dtype(machine(capability="7.5", instructions=("AVX-512 bf16",))) == "float16"


def test_the_names_of_instructions_are_those_that_detection_gives() -> None:
    from inference.cpu import parse_cpu_flags

    assert best_dtype(machine(instructions=tuple(parse_cpu_flags("flags : avx2 avx512f avx512_bf16")))) == "bfloat16"
    assert best_dtype(machine(instructions=tuple(parse_cpu_flags("flags : avx512f amx_tile amx_bf16")))) == "bfloat16"
    assert best_dtype(machine(instructions=tuple(parse_cpu_flags("flags : avx2 avx512f")))) == "float32"


def test_pytorch_as_it_is_lacks_nothing_anywhere() -> None:
    assert missing_for("eager", machine()) is None
    assert missing_for("eager", machine(capability="9.0"), on_gpu=True) is None


def test_openvino_that_is_not_installed_is_told_with_the_command_that_installs_it() -> None:
    assert missing_for("openvino", machine()) == "OpenVINO is not installed: pip install batchscope[openvino]"
    assert missing_for("openvino", machine(packages=("openvino",))) is None


def test_openvino_on_a_gpu_is_refused_even_where_it_is_installed() -> None:
    missing = missing_for("openvino", machine(packages=("openvino",), capability="9.0"), on_gpu=True)

    assert missing is not None
    assert "set GPUs per worker to 0" in missing


def test_compiling_for_a_processor_needs_a_compiler_and_for_a_gpu_does_not() -> None:
    missing = missing_for("compile", machine())

    assert missing is not None
    assert "install g++ or clang" in missing
    assert missing_for("compile", machine(compiler="/usr/bin/g++")) is None
    assert missing_for("compile", machine(capability="9.0"), on_gpu=True) is None
