"""What the hardware module says about machines: parsers on text, probes on files, and this machine."""

import json
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from inference.cpu import memory_headroom, memory_limit, parse_cpu_model, parse_sysctl_flags
from inference.hardware import (
    Gpu,
    Hardware,
    chip,
    cpu_quota,
    detect,
    environment_notes,
    facts,
    fingerprint,
    from_dict,
    parse_cpu_flags,
    parse_nvidia_smi,
    to_dict,
    visible_gpus,
    with_ray,
)

ROOT = Path(__file__).resolve().parents[2]
GIB = 1024**3

X86 = """\
processor\t: 0
model name\t: Example(R)   Server CPU @ 2.60GHz
flags\t\t: fpu sse4_2 avx avx2 sme avx512f avx512_vnni avx512_bf16 amx_int8 amx_bf16
bugs\t\t: spectre_v1
"""
ARM = """\
processor\t: 0
Features\t: fp asimd asimdhp sve bf16 i8mm
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""

SMALL = Hardware(
    cpus=2,
    cpu_limit=2.0,
    cpus_logical=2,
    cpus_physical=2,
    cpu_model="Example CPU",
    instructions=("AVX2", "AVX-512", "AVX-512 bf16"),
    memory_bytes=int(23.54 * GIB),
    memory_available_bytes=20 * GIB,
    swap_bytes=0,
    shm_bytes=12 * GIB,
    disk_path="data",
    disk_free_bytes=76 * GIB,
    disk_total_bytes=251 * GIB,
    os="Linux 6.8",
    python="3.12.1",
    versions=(("ray", "2.60.0"), ("torch", "2.13.0"), ("transformers", "5.0.0")),
)
H200 = Gpu(index=0, name="NVIDIA H200", memory_bytes=139 * GIB, driver="550.1", capability="9.0")


def write(root: Path, **files: str) -> Path:
    """Files below a folder; "__" in a name stands for "/" and "_dot_" for "."."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def meaning(hardware: Hardware, title: str) -> str:
    return next(fact.meaning for fact in facts(hardware) if fact.title == title)


def value(hardware: Hardware, title: str) -> str:
    return next(fact.value for fact in facts(hardware) if fact.title == title)


# Processor


def test_x86_flags_are_named_from_plain_to_special() -> None:
    assert parse_cpu_flags(X86) == (
        *("AVX2", "AVX-512", "AVX-512 VNNI", "AVX-512 bf16"),
        *("AMX int8", "AMX bf16"),
    )


def test_arm_features_are_named() -> None:
    assert parse_cpu_flags(ARM) == ("NEON", "NEON fp16", "NEON int8", "NEON bf16", "SVE")


def test_an_instruction_set_that_one_processor_lacks_is_not_named() -> None:
    assert parse_cpu_flags("flags : avx2 avx512f\nflags : avx2\n") == ("AVX2",)


@pytest.mark.parametrize("text", ["", "\x00\xff", "flags", "flags :", "processor : 0\n"])
def test_text_without_flags_names_no_instructions(text: str) -> None:
    assert parse_cpu_flags(text) == ()


def test_macos_flags_are_named_where_they_are_set() -> None:
    text = "hw.optional.arm.AdvSIMD: 1\nhw.optional.arm.FEAT_BF16: 1\nhw.optional.arm.FEAT_I8MM: 0\n"
    assert parse_sysctl_flags(text) == ("NEON", "NEON bf16")


@pytest.mark.parametrize(
    ("text", "model"),
    [
        (X86, "Example(R) Server CPU @ 2.60GHz"),
        (ARM, "Arm Neoverse V1"),
        ("", None),
        ("model name :\n", None),
    ],
)
def test_the_processor_is_named_where_the_kernel_knows_it(text: str, model: str | None) -> None:
    assert parse_cpu_model(text) == model


# Control groups


def test_no_control_group_files_mean_no_limit(tmp_path: Path) -> None:
    roots = tmp_path / "proc", tmp_path / "cgroup"
    assert (cpu_quota(*roots), memory_limit(*roots), memory_headroom(*roots)) == (None, None, None)


def test_version_2_takes_the_smallest_quota_up_to_the_root(tmp_path: Path) -> None:
    proc = write(tmp_path / "proc", self__cgroup="0::/outer/inner\n")
    cgroup = write(
        tmp_path / "cgroup",
        outer__cpu_dot_max="150000 100000\n",
        outer__inner__cpu_dot_max="max 100000\n",
        outer__sibling__cpu_dot_max="10000 100000\n",
        cpu_dot_max="400000 100000\n",
    )
    assert cpu_quota(proc, cgroup) == 1.5


def test_version_1_quota_is_read_from_a_combined_controller(tmp_path: Path) -> None:
    proc = write(tmp_path / "proc", self__cgroup="5:cpu,cpuacct:/job\n4:memory:/other\n")
    cgroup = tmp_path / "cgroup"
    write(cgroup / "cpu,cpuacct", cpu_dot_cfs_quota_us="-1\n", cpu_dot_cfs_period_us="100000\n")
    write(cgroup / "cpu,cpuacct", job__cpu_dot_cfs_quota_us="50000\n", job__cpu_dot_cfs_period_us="100000\n")
    assert cpu_quota(proc, cgroup) == 0.5


def test_a_container_that_sees_the_hosts_path_uses_the_root_it_can_see(tmp_path: Path) -> None:
    proc = write(tmp_path / "proc", self__cgroup="0::/../../host/abc\n")
    cgroup = write(tmp_path / "cgroup", cpu_dot_max="200000 100000\n", memory_dot_max=f"{GIB}\n")
    assert (cpu_quota(proc, cgroup), memory_limit(proc, cgroup)) == (2.0, GIB)


@pytest.mark.parametrize("text", ["max 100000", "", "nonsense", "100000", "0 0", "100000 0", "-1 100000"])
def test_a_quota_that_says_nothing_is_no_limit(tmp_path: Path, text: str) -> None:
    assert cpu_quota(tmp_path, write(tmp_path, cpu_dot_max=text)) is None


@pytest.mark.parametrize("text", ["max", "9223372036854771712", "0", "", "many"])
def test_a_memory_limit_that_says_nothing_is_no_limit(tmp_path: Path, text: str) -> None:
    assert memory_limit(tmp_path, write(tmp_path, memory_dot_max=text)) is None


def test_version_1_memory_limit_is_the_smallest_up_to_the_root(tmp_path: Path) -> None:
    proc = write(tmp_path / "proc", self__cgroup="4:memory:/a/b\n0::/\n")
    cgroup = write(
        tmp_path / "cgroup",
        memory__memory_dot_limit_in_bytes="9223372036854771712",
        memory__a__memory_dot_limit_in_bytes=str(2 * GIB),
        memory__a__b__memory_dot_limit_in_bytes=str(3 * GIB),
    )
    assert memory_limit(proc, cgroup) == 2 * GIB


def test_headroom_counts_file_cache_as_free(tmp_path: Path) -> None:
    write(
        tmp_path,
        memory_dot_max="1000",
        memory_dot_current="900",
        memory_dot_stat="anon 600\ninactive_file 300\n",
    )
    assert memory_headroom(tmp_path, tmp_path) == 400


# GPUs


def test_nvidia_smi_lines_become_gpus() -> None:
    text = "0, NVIDIA H200, 143771, 550.90.07, 9.0\n1, Tesla T4, 15360, 550.90.07, 7.5\n"
    assert parse_nvidia_smi(text) == (
        Gpu(index=0, name="NVIDIA H200", memory_bytes=143771 * 2**20, driver="550.90.07", capability="9.0"),
        Gpu(index=1, name="Tesla T4", memory_bytes=15360 * 2**20, driver="550.90.07", capability="7.5"),
    )


def test_not_available_from_nvidia_smi_is_unknown() -> None:
    (gpu,) = parse_nvidia_smi("0, NVIDIA GB10, [N/A], [Unknown Error], [N/A]\n")
    assert gpu == Gpu(index=0, name="NVIDIA GB10", memory_bytes=None, driver=None, capability="")


def test_an_older_driver_without_compute_capability_is_understood() -> None:
    (gpu,) = parse_nvidia_smi("0, Tesla K80, 11441, 450.51\n")
    assert (gpu.driver, gpu.capability) == ("450.51", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No devices were found\n",
        'Field "compute_cap" is not a valid field to query.\n',
        "a, b, c, d, e\n",
    ],
)
def test_messages_of_nvidia_smi_are_no_gpus(text: str) -> None:
    assert parse_nvidia_smi(text) == ()


@pytest.mark.parametrize(
    ("setting", "indexes"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("-1", []),
        ("2,0", [2, 0]),
        (" 1 ", [1]),
        ("1,-1,2", [1]),
        ("0,9,1", [0]),
        ("GPU-bb", [1]),
        ("GPU-cccc,0", [2, 0]),
        ("GPU-unknown", []),
        ("NoDevFiles", []),
        ("9" * 5000, []),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(setting: str | None, indexes: list[int]) -> None:
    gpus = tuple(Gpu(index=index, name="GPU") for index in range(3))
    uuids = {0: "GPU-aaaa", 1: "GPU-bbbb", 2: "GPU-cccc"}
    assert [gpu.index for gpu in visible_gpus(gpus, setting, uuids)] == indexes


def test_a_slice_of_a_divided_gpu_has_unknown_memory() -> None:
    (gpu,) = visible_gpus((H200,), "MIG-1234")
    assert (gpu.name, gpu.memory_bytes, gpu.capability) == ("NVIDIA H200 MIG slice", None, "9.0")


def nvidia_smi(folder: Path, script: str) -> dict[str, str]:
    """An environment whose nvidia-smi is this shell script."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return {"PATH": str(folder)}


needs_sh = pytest.mark.skipif(sys.platform != "linux", reason="nvidia-smi is played by a shell script")


@needs_sh
def test_detect_asks_nvidia_smi_and_hides_what_the_environment_hides(tmp_path: Path) -> None:
    script = (
        'case "$*" in *uuid*) echo "0, GPU-aa"; echo "1, GPU-bb";;\n'
        '*) echo "0, NVIDIA H200, 143771, 550, 9.0"; echo "1, Tesla T4, 15360, 550, 7.5";; esac'
    )
    environ = nvidia_smi(tmp_path, script)
    assert [gpu.index for gpu in detect(tmp_path, environ=environ).gpus] == [0, 1]
    chosen = detect(tmp_path, environ={**environ, "CUDA_VISIBLE_DEVICES": "GPU-bb"}).gpus
    assert [gpu.name for gpu in chosen] == ["Tesla T4"]


@needs_sh
def test_detect_asks_an_older_driver_again_without_compute_capability(tmp_path: Path) -> None:
    environ = nvidia_smi(tmp_path, 'case "$*" in *compute_cap*) exit 2;; *) echo "0, Tesla K80, 11441, 450";; esac')
    assert [gpu.name for gpu in detect(tmp_path, environ=environ).gpus] == ["Tesla K80"]


@needs_sh
@pytest.mark.parametrize("script", ["exit 9", "kill -9 $$", "printf '\\377\\000'"])
def test_a_broken_driver_is_no_gpu_and_no_exception(tmp_path: Path, script: str) -> None:
    assert detect(tmp_path, environ=nvidia_smi(tmp_path, script)).gpus == ()


# This machine


def test_this_machine_is_detected(tmp_path: Path) -> None:
    hardware = detect(tmp_path)
    assert 1 <= hardware.cpus <= (os.cpu_count() or 1)
    assert hardware.memory_bytes is not None
    assert hardware.memory_bytes > 0
    assert hardware.disk_total_bytes is not None
    assert hardware.disk_total_bytes > 0
    assert hardware.python == ".".join(str(part) for part in sys.version_info[:3])


def test_a_machine_that_tells_nothing_is_detected_without_an_exception(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    hardware = detect(absent / "home", proc=absent, cgroup=absent, shm=absent, environ={"PATH": str(absent)})
    assert hardware.cpus >= 1
    assert hardware.shm_bytes is None
    assert len(facts(hardware)) == 5


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's files")
def test_files_that_cannot_be_read_are_unknown(tmp_path: Path) -> None:
    # Folders where files are expected: unreadable for every user, root included.
    (tmp_path / "cpuinfo").mkdir()
    (tmp_path / "cpu.max").mkdir()
    hardware = detect(tmp_path, proc=tmp_path, cgroup=tmp_path)
    assert (hardware.cpu_model, hardware.instructions) == (None, ())


def test_limits_of_the_control_group_apply(tmp_path: Path) -> None:
    write(tmp_path, cpu_dot_max="50000 100000", memory_dot_max=str(10**8), memory_dot_current=str(4 * 10**7))
    hardware = detect(tmp_path, proc=tmp_path, cgroup=tmp_path)
    assert (hardware.cpus, hardware.cpu_limit) == (1, 0.5)
    assert (hardware.memory_bytes, hardware.memory_available_bytes) == (10**8, 6 * 10**7)


def test_the_disk_of_a_folder_that_is_yet_to_be_made_is_found(tmp_path: Path) -> None:
    assert detect(tmp_path / "not" / "yet").disk_total_bytes == detect(tmp_path).disk_total_bytes


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity_to_one_processor_means_one_cpu() -> None:
    code = (
        "import os, pathlib; from inference.hardware import detect;"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "print(detect(pathlib.Path('.')).cpus)"
    )
    assert run_python(code) == "1"


def test_importing_and_detecting_loads_no_heavy_module() -> None:
    code = (
        "import sys, pathlib; from inference.hardware import chip, detect, facts, fingerprint;"
        "h = detect(pathlib.Path('.')); chip(h), facts(h), fingerprint(h);"
        "heavy = {'torch', 'ray', 'transformers', 'streamlit', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert run_python(code) == "[]"


# Records


def test_a_record_survives_json(tmp_path: Path) -> None:
    for hardware in (detect(tmp_path), with_ray(replace(SMALL, gpus=(H200,)), {"CPU": 2, "GPU": 1})):
        assert from_dict(json.loads(json.dumps(to_dict(hardware)))) == hardware


def test_an_older_or_newer_record_still_loads() -> None:
    hardware = from_dict({"cpus": 4, "gpus": [{"name": "NVIDIA H200", "colour": "green"}], "invented": 1})
    assert (hardware.cpus, hardware.cpu_limit, hardware.memory_bytes) == (4, 4.0, None)
    assert hardware.gpus == (Gpu(index=0, name="NVIDIA H200"),)
    assert from_dict({}).cpus == 1
    assert len(facts(from_dict({}))) == 5


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        SMALL.cpus = 3  # type: ignore[misc]


def test_ray_resources_are_kept_without_addresses() -> None:
    hardware = with_ray(SMALL, {"node:127.0.0.1": 1.0, "CPU": 4.0, "memory": 10.0})
    assert hardware.ray == (("CPU", 4.0), ("memory", 10.0))
    assert "Ray counts 4 CPUs" in meaning(hardware, "Processor")


def test_the_fingerprint_ignores_what_does_not_change_timings() -> None:
    same = replace(
        SMALL,
        memory_bytes=int(23.54 * GIB) + 4096,
        memory_available_bytes=1,
        disk_free_bytes=1,
        python="3.13.0",
    )
    assert fingerprint(same) == fingerprint(SMALL) == fingerprint(from_dict(to_dict(SMALL)))


@pytest.mark.parametrize(
    "change",
    [
        {"cpus": 3},
        {"cpu_model": "Other"},
        {"memory_bytes": 8 * GIB},
        {"gpus": (H200,)},
        {"versions": (("torch", "2.12.0"),)},
    ],
)
def test_the_fingerprint_changes_with_what_changes_timings(change: dict[str, object]) -> None:
    assert fingerprint(replace(SMALL, **change)) != fingerprint(SMALL)  # type: ignore[arg-type]


def test_the_fingerprint_tells_one_gpu_from_two() -> None:
    one, two = replace(SMALL, gpus=(H200,)), replace(SMALL, gpus=(H200, replace(H200, index=1)))
    assert fingerprint(one) != fingerprint(two)


# Words


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "2 CPU · 23 GiB · AVX-512 bf16 · no GPU"),
        ({"gpus": (H200,)}, "2 CPU · 23 GiB · AVX-512 bf16 · 1 × H200 139 GiB"),
        ({"gpus": (H200, replace(H200, index=1))}, "2 CPU · 23 GiB · AVX-512 bf16 · 2 × H200 139 GiB"),
        ({"gpus": (replace(H200, memory_bytes=None),)}, "2 CPU · 23 GiB · AVX-512 bf16 · 1 × H200"),
        ({"cpus": 1, "cpu_limit": 1.5}, "1.5 CPU · 23 GiB · AVX-512 bf16 · no GPU"),
        ({"instructions": ("AVX2",), "memory_bytes": 512 * 2**20}, "2 CPU · 512 MiB · AVX2 · no GPU"),
        ({"instructions": (), "memory_bytes": None}, "2 CPU · no GPU"),
    ],
)
def test_the_chip_is_one_line(change: dict[str, object], text: str) -> None:
    assert chip(replace(SMALL, **change)) == text  # type: ignore[arg-type]


def test_the_chip_of_apple_silicon_does_not_count_memory_twice() -> None:
    apple = replace(
        SMALL, instructions=("NEON",), gpus=(Gpu(index=0, name="Apple M2", memory_bytes=8 * GIB, kind="mps"),)
    )
    assert chip(apple) == "2 CPU · 23 GiB · NEON · 1 × Apple M2 GPU"


def test_facts_are_the_five_that_the_page_shows() -> None:
    titles = [fact.title for fact in facts(SMALL)]
    assert titles == ["Processor", "Memory", "Accelerator", "Disk", "Software"]


@pytest.mark.parametrize(
    ("cpus", "text"),
    [
        (1, "1 CPU: reading, decoding and the model take turns on it."),
        (
            2,
            "2 CPUs: one worker computes while one CPU reads and decodes; more than 1 worker would starve the reader.",
        ),
        (
            8,
            "8 CPUs: up to 7 workers of one CPU each compute while one CPU reads and decodes; "
            "more than 7 workers would starve the reader.",
        ),
    ],
)
def test_the_processor_says_how_many_workers_fit(cpus: int, text: str) -> None:
    hardware = replace(SMALL, cpus=cpus, cpu_limit=float(cpus), cpus_logical=cpus, cpus_physical=cpus)
    assert meaning(hardware, "Processor").startswith(text)


def test_a_share_of_the_machine_is_shown_as_one() -> None:
    hardware = replace(SMALL, cpus=1, cpu_limit=1.5, cpus_logical=64, cpus_physical=32)
    assert "1.5 of 64 CPUs" in value(hardware, "Processor")
    assert "counts as 1 for whole workers" in meaning(hardware, "Processor")


@pytest.mark.parametrize(
    ("instructions", "text"),
    [
        (("AVX-512", "AVX-512 bf16"), "bfloat16 is likely the fastest precision on this processor"),
        (("NEON", "NEON bf16"), "bfloat16 may be faster than float32"),
        (("AVX2",), "No bf16 instructions found: float32 is likely"),
    ],
)
def test_the_precision_hint_follows_the_instructions(instructions: tuple[str, ...], text: str) -> None:
    assert text in meaning(replace(SMALL, instructions=instructions), "Processor")


def test_unknown_instructions_give_no_precision_hint() -> None:
    assert "float" not in meaning(replace(SMALL, instructions=()), "Processor")


def test_threads_of_shared_cores_are_called_so() -> None:
    assert "threads of" not in meaning(SMALL, "Processor")
    assert "They are threads of 4 cores" in meaning(
        replace(SMALL, cpus=8, cpu_limit=8.0, cpus_logical=8, cpus_physical=4), "Processor"
    )


def test_memory_is_shared_out_among_the_cpus() -> None:
    assert value(SMALL, "Memory") == "23 GiB, 20 GiB available"
    assert "about 10 GiB each" in meaning(SMALL, "Memory")


def test_a_small_shared_memory_folder_is_pointed_out() -> None:
    assert "/dev/shm" not in meaning(SMALL, "Memory")
    assert "/dev/shm has 64 MiB free" in meaning(replace(SMALL, shm_bytes=64 * 2**20), "Memory")


def test_no_gpu_means_that_the_model_runs_on_the_processor() -> None:
    assert value(SMALL, "Accelerator") == "No GPU"
    assert meaning(SMALL, "Accelerator") == "No GPU: the model runs on the processor."


def test_a_gpu_is_described_with_its_driver() -> None:
    hardware = replace(SMALL, gpus=(H200,))
    assert value(hardware, "Accelerator") == "1 × H200 139 GiB, driver 550.1, compute capability 9.0"
    assert "bfloat16 natively" in meaning(hardware, "Accelerator")


def test_a_gpu_that_the_installed_torch_cannot_use_is_called_so() -> None:
    hardware = replace(SMALL, gpus=(H200,), versions=(("torch", "2.13.0+cpu"),))
    assert "built without CUDA" in meaning(hardware, "Accelerator")
    assert "starve the reader" in meaning(hardware, "Processor")


def test_missing_packages_are_named() -> None:
    hardware = replace(SMALL, versions=(("ray", "2.60.0"),))
    assert meaning(hardware, "Software") == "Not installed: torch, transformers. Runs need them."


def test_a_nearly_full_disk_is_pointed_out() -> None:
    assert "Almost full" in meaning(replace(SMALL, disk_free_bytes=GIB), "Disk")


def test_no_fact_exclaims_or_shows_none() -> None:
    for hardware in (SMALL, from_dict({}), replace(SMALL, gpus=(H200,))):
        for fact in facts(hardware):
            assert fact.value
            assert fact.meaning
            assert "!" not in fact.value + fact.meaning
            assert "None" not in fact.value + fact.meaning


# Environment


def test_an_ordinary_environment_needs_no_note() -> None:
    assert environment_notes({"PATH": "/bin", "OMP_NUM_THREADS": "", "http_proxy": ""}) == ()


def test_foreign_thread_settings_are_said_to_be_ignored() -> None:
    assert environment_notes({"OMP_NUM_THREADS": "1"}) == (
        "OMP_NUM_THREADS=1 is set in the environment; Batchscope sets threads per worker itself and ignores it.",
    )
    assert environment_notes({"MKL_NUM_THREADS": "4"})[0].startswith("MKL_NUM_THREADS=4 is set")


def test_a_foreign_ray_address_is_said_to_be_ignored() -> None:
    (note,) = environment_notes({"RAY_ADDRESS": "ray://cluster:10001"})
    assert note.startswith("RAY_ADDRESS=ray://cluster:10001 is set")
    assert note.endswith("ignores it.")


@pytest.mark.parametrize(
    "url",
    [
        "http://me:s3cret@proxy.example:8080",
        "http://me:s3cret@proxy.example:8080/s3cret?token=s3cret",
        "me:s3cret@proxy.example:8080",
        "http://me:s3cr@et/s3cret@proxy.example:8080",
        "http://me:s3cret://s3cret@proxy.example:8080",
        "http://s3cret@proxy.example:8080",
    ],
)
def test_credentials_in_a_proxy_address_are_never_shown(url: str) -> None:
    (note,) = environment_notes({"HTTPS_PROXY": url})
    assert "s3cr" not in note
    assert "me:" not in note
    assert "proxy.example:8080 (credentials hidden)" in note


def test_a_proxy_set_in_both_spellings_is_shown_once() -> None:
    notes = environment_notes({"http_proxy": "http://proxy:3128", "HTTP_PROXY": "http://proxy:3128"})
    assert [note.partition(" ")[0] for note in notes] == ["http_proxy=http://proxy:3128"]


@pytest.mark.parametrize("setting", ["", "-1"])
def test_hidden_gpus_are_said_to_be_hidden(setting: str) -> None:
    (note,) = environment_notes({"CUDA_VISIBLE_DEVICES": setting})
    assert note.endswith("runs use no NVIDIA GPU.")


def test_a_choice_of_gpus_is_shown() -> None:
    (note,) = environment_notes({"CUDA_VISIBLE_DEVICES": "1"})
    assert note.startswith("CUDA_VISIBLE_DEVICES=1 is set")


def test_a_long_or_many_lined_value_stays_one_short_line() -> None:
    (note,) = environment_notes({"OMP_NUM_THREADS": "1\n\x1b[31m" + "9" * 500})
    assert len(note) < 250
    assert note.isprintable()
