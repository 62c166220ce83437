"""Does any file crash the decoder, or make it take all memory?

    python -m benchmarks.fuzz [--files 10000] [--seed 0] [--json]
    python -m benchmarks.fuzz --into FOLDER [--files 10000] [--seed 0]

Valid pictures of every format are mutated at random, and each result is decoded in a process of its own kind, as in a
worker. A file may be decoded or refused with a reason; everything else is a finding. Memory is the process's own peak
beyond what it had before the first file. With `--into` the files are only written, for a run over them:
`python -m inference run --strategy pipelined --dataset FOLDER --limit 10000`.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import select
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image, features

from inference.images import MAX_PIXELS, Undecodable, decode

SIDES = ((64, 48), (301, 200))
BOUND_BYTES = 6 * 3 * MAX_PIXELS
"""A picture of the largest size in RGB, six times: what decoding, turning and blending may hold at once."""
FILE_TIMEOUT_S = 60.0
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of all files."""

    files: int
    decoded: int
    refused: int
    reasons: dict[str, int]
    """The most frequent reasons, with their details cut off."""
    crashes: int
    """Files with which the process died, or did not come back within a minute."""
    unexpected: dict[str, int]
    """Errors that were no refusal, by type."""
    peak_memory_bytes: int
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether nothing happened that must not."""
        return not self.crashes and not self.unexpected and self.peak_memory_bytes < BOUND_BYTES


def seeds() -> list[bytes]:
    """Valid pictures of every format and many of their kinds, made here."""
    noise = random.Random(0)
    pictures = [Image.frombytes("RGB", side, noise.randbytes(3 * side[0] * side[1])) for side in SIDES]
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ("JPEG", "RGB", {"quality": 80}),
        ("JPEG", "L", {"progressive": True}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("PNG", "I;16", {}),
        ("WEBP", "RGB", {"quality": 70}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("GIF", "P", {"save_all": True, "append_images": [pictures[0].convert("P")]}),
        ("BMP", "RGB", {}),
        ("TIFF", "RGB", {}),
        ("TIFF", "L", {"compression": "tiff_lzw"}),
        ("TIFF", "RGB", {"compression": "jpeg"}),
    ]
    if features.check("avif"):
        kinds.append(("AVIF", "RGB", {"quality": 60}))
    return [_encoded(picture, *kind) for picture in pictures for kind in kinds]


def _encoded(picture: Image.Image, name: str, mode: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    converted = picture.convert("L").convert("I").convert("I;16") if mode == "I;16" else picture.convert(mode)
    converted.save(file, name, **options)
    return file.getvalue()


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One of several kinds of damage, some of them aimed at the header, where sizes and offsets stand."""
    file = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 30))):
        place = rng.randrange(min(len(file), 200) if rng.random() < 0.6 else len(file))
        kind = rng.randrange(6)
        if kind == 0:
            file[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            file[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            file[place : place + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\xff\xd8"))
        elif kind == 3 and len(file) > 20:
            del file[place : place + rng.randrange(1, 20)]
        elif kind == 4:
            file[place:place] = rng.randbytes(rng.randrange(1, 20))
        elif len(file) > 20:
            del file[rng.randrange(10, len(file)) :]
    return bytes(file)


def files(number: int, seed: int) -> Iterator[bytes]:
    """So many damaged files, the same for the same seed."""
    rng = random.Random(seed)
    whole = seeds()
    return (mutated(whole[index % len(whole)], rng) for index in range(number))


def write(folder: Path, number: int, seed: int) -> None:
    """Write so many damaged files; what they are called says nothing of their format."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(files(number, seed)):
        (folder / f"{index:05d}.jpg").write_bytes(data)


def fuzz(number: int, seed: int) -> Finding:
    """Decode so many damaged files; a process that dies is replaced, and the file that killed it counted."""
    started_at = time.monotonic()
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    unexpected: Counter[str] = Counter()
    crashes, peak = 0, 0
    worker = _Decoder()
    try:
        for data in files(number, seed):
            answer = worker.decode(data)
            if answer is None:
                crashes += 1
                worker = _Decoder()
                continue
            outcome, told, memory = answer
            outcomes[outcome] += 1
            peak = max(peak, memory)
            if outcome == "refused":
                reasons[told.partition(":")[0]] += 1
            elif outcome == "unexpected":
                unexpected[told] += 1
    finally:
        worker.end()
    return Finding(
        files=number,
        decoded=outcomes["decoded"],
        refused=outcomes["refused"],
        reasons=dict(reasons.most_common(12)),
        crashes=crashes,
        unexpected=dict(unexpected),
        peak_memory_bytes=peak,
        seconds=time.monotonic() - started_at,
    )


class _Decoder:
    """A process that decodes what it is sent."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fuzz", "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the C libraries complain about every file
        )

    def decode(self, data: bytes) -> tuple[str, str, int] | None:
        """What happened, what was said, and bytes of memory taken so far; None if the process is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(_LENGTH.pack(len(data)) + data)
            self._process.stdin.flush()
            if select.select([self._process.stdout], [], [], FILE_TIMEOUT_S)[0]:
                outcome, told, memory = json.loads(self._process.stdout.readline())
                return outcome, told, memory
        except (OSError, ValueError):  # nothing, or half a line, from a process that died
            pass
        self.end()
        return None

    def end(self) -> None:
        """End the process, if it has not ended itself."""
        self._process.kill()
        self._process.communicate()


def _serve() -> None:
    before = _peak_bytes()
    while head := sys.stdin.buffer.read(_LENGTH.size):
        data = sys.stdin.buffer.read(*_LENGTH.unpack(head))
        try:
            decode(data).tobytes()
            outcome, told = "decoded", ""
        except Undecodable as error:
            outcome, told = "refused", str(error)
        except BaseException as error:  # noqa: BLE001  # that is what is looked for
            outcome, told = "unexpected", type(error).__name__
        print(json.dumps([outcome, told, _peak_bytes() - before]), flush=True)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Fuzz, and say what was found; the exit status is 1 where something happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="write the files there, and do nothing else")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve()
        return 0
    if options.into is not None:
        write(options.into, options.files, options.seed)
        return 0
    found = fuzz(options.files, options.seed)
    if options.json:
        print(json.dumps(asdict(found) | {"clean": found.clean}, indent=1))
    else:
        print(
            f"{found.files:,} damaged files in {found.seconds:.0f} s: {found.decoded:,} decoded, {found.refused:,} "
            f"refused, {found.crashes} crashes, {sum(found.unexpected.values())} unexpected errors, "
            f"at most {found.peak_memory_bytes / 1024**2:,.0f} MiB taken."
        )
        for reason, count in found.reasons.items():
            print(f"{count:7,}  {reason}")
    return 0 if found.clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
