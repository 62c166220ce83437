"""A list of images → a Ray Dataset of `{image_id, bytes, reason, spans}`, in blocks chosen for batches and progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import ray.data
from ray.data import TaskPoolStrategy

from inference import lists
from inference.buckets import SCHEME
from inference.images import check_file_size
from inference.listing import ImageRef, read_image
from inference.recorder import recorder_of_process
from inference.results import READER
from inference.strategies.answers import RETRIES

ROWS_PER_BLOCK = 32
ROWS_PER_REMOTE_BLOCK = 8
"""Of images in a bucket: they are fetched side by side, and over a slow line a block must not take minutes."""
MIN_BLOCKS = 10


def rows_per_block(num_images: int, batch_size: int, most: int = ROWS_PER_BLOCK) -> int:
    """Rows in each block: whole batches, so that no block ends in a partial one; about 32, or `most`.

    Progress arrives in blocks, so there are at least ten, as far as batches allow.
    """
    for_progress = max(1, num_images // (MIN_BLOCKS * batch_size))
    return batch_size * min(max(1, most // batch_size), for_progress)


def image_bytes(
    images: tuple[ImageRef, ...], *, batch_size: int, num_cpus: float, run_started_at: float
) -> ray.data.Dataset:
    """A lazy data set that reads these images, one reading task at a time.

    Columns: `image_id` (string), `bytes` (binary, null if unreadable), `reason` (string, null if readable),
    `spans` (string: what `Recorder.drain` gave, on the first row of each block, else empty).
    """
    remote = any(image.uri.startswith(SCHEME) for image in images)
    size = rows_per_block(len(images), batch_size, ROWS_PER_REMOTE_BLOCK if remote else ROWS_PER_BLOCK)
    blocks = [
        pa.table(
            {
                "image_id": [i.image_id for i in part],
                "uri": [i.uri for i in part],
                "row": pa.array([i.row for i in part], pa.int64()),
            }
        )
        for part in (images[start : start + size] for start in range(0, len(images), size))
    ]
    return ray.data.from_arrow(blocks).map_batches(
        read_block,
        batch_size=None,  # a whole block: reading has no batches of its own
        batch_format="pyarrow",
        fn_kwargs={"run_started_at": run_started_at},
        compute=TaskPoolStrategy(size=1),
        num_cpus=num_cpus,
        max_retries=RETRIES,
    )


def read_block(block: pa.Table, run_started_at: float) -> pa.Table:
    """Read the files that `uri` names; a file that cannot be read becomes a row with the reason."""
    recorder = recorder_of_process(READER, run_started_at)
    with recorder.span("read", images=len(block)):
        contents = _contents(block["uri"].to_pylist(), block["row"].to_pylist())
    first_row_only = [recorder.drain()] + [""] * (len(block) - 1)
    return pa.table(
        {
            "image_id": block["image_id"],
            "bytes": pa.array([data for data, _ in contents], pa.binary()),
            "reason": pa.array([reason for _, reason in contents], pa.string()),
            "spans": first_row_only,
        }
    )


def _contents(uris: Sequence[str], rows: Sequence[int | None]) -> list[tuple[bytes | None, str | None]]:
    """The bytes of each image, or the reason why there are none."""
    in_lists = {file: _rows_of_list(file, uris, rows) for file, row in zip(uris, rows, strict=True) if row is not None}
    in_buckets = _fetched(list(dict.fromkeys(uri for uri in uris if uri.startswith(SCHEME))))
    return [
        in_buckets.get(uri) or _read(uri) if row is None else in_lists[uri][row]
        for uri, row in zip(uris, rows, strict=True)
    ]


def _fetched(uris: Sequence[str]) -> Mapping[str, tuple[bytes | None, str | None]]:
    """The objects at these addresses, a few at a time: reading one is mostly waiting."""
    with ThreadPoolExecutor(ROWS_PER_REMOTE_BLOCK) as pool:
        return dict(zip(uris, pool.map(_read, uris), strict=True))


def _rows_of_list(
    file: str, uris: Sequence[str], rows: Sequence[int | None]
) -> Mapping[int, tuple[bytes | None, str | None]]:
    """The images that lie in one Parquet list, read together: a row group holds many."""
    wanted = [row for uri, row in zip(uris, rows, strict=True) if uri == file and row is not None]
    try:
        found = lists.image_bytes(Path(file), wanted)
    except OSError as error:
        return {row: (None, f"the list could not be read: {error.strerror or error}") for row in wanted}
    return {row: _checked(data) for row, data in found.items()}


def _checked(data: bytes | None) -> tuple[bytes | None, str | None]:
    """What one row of a list holds, or the reason why it is no image."""
    if not data:
        return None, "this row of the list holds no image"
    try:
        check_file_size(len(data))
    except OSError as error:
        return None, f"the image could not be read: {error.strerror}"
    return data, None


def _read(uri: str) -> tuple[bytes | None, str | None]:
    try:
        return read_image(ImageRef(image_id=uri, uri=uri)), None
    except OSError as error:
        return None, f"the file could not be read: {error.strerror or error}"
