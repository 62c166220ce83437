"""The pieces of a program that are the same for every strategy: settings, reading, decoding and writing.

`export_script` puts programs together from these and those in `export_workers`. Pieces have the style of the
programs: lines of 88 characters, no types, a docstring for each function.
"""

from __future__ import annotations

from string import Template

HEADER = Template('''\
"""Classify images with Ray Data, with the settings of a run that Batchscope measured.

    python this_file.py                  prints one line of JSON for each image
    python this_file.py --out FILE.csv   writes a table instead

$lesson

MODEL and IMAGES are where they were on the machine that exported this program; edit
them, and whatever else is written in capitals, to suit yours. It needs:

$requirements
"""
''')

CONSTANTS = Template("""\
MODEL = $model
IMAGES = $images
LIMIT = $limit  # images, from the first on, in sorted order
BATCH_SIZE = $batch_size  # images that a worker gets in one call
CONCURRENCY = $concurrency  # workers at the same time
CPUS_PER_WORKER = $cpus_per_worker
GPUS_PER_WORKER = $gpus_per_worker
THREADS_PER_WORKER = $threads_per_worker
CPUS_FOR_READING = $cpus_for_reading  # must be free beside the workers, or the run hangs
${decoders}DEVICE = $device
DTYPE = $dtype

FORMATS = $formats
ENDINGS = $endings
ANSWER = pa.schema(
    {
        "image_id": pa.string(),
        "label": pa.string(),
        "score": pa.float64(),
        "reason": pa.string(),  # why there is no label
    }
)
${environment}""")

DECODERS = Template("""\
DECODERS = $decoders  # tasks that decode at the same time, with CPUS_FOR_READING each
""")

ENVIRONMENT = """\
ENVIRONMENT = {
    "OMP_NUM_THREADS": str(THREADS_PER_WORKER),
    # glibc shall keep the memory of a layer for the next one; taking it anew is slow.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
}
"""

MAIN = '''
def main():
    """Classify the images and write each answer as it comes, in whatever order."""
    parser = argparse.ArgumentParser(description="Classify images with Ray Data.")
    parser.add_argument("--out", metavar="FILE.csv", help="write a table to this file")
    out = parser.parse_args().out
    images = list_images()
    if not images:
        parser.error(f"there are no images in {IMAGES}")
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    answers = classify(read(images)).iter_rows()
    if out is None:
        for answer in answers:
            print(json.dumps(answer), flush=True)
    else:
        write_csv(answers, out)
'''

LIST_FOLDER = '''
def list_images():
    """Pairs of an image's id and its path: the first LIMIT, also in sub-folders."""
    return list(islice(walk(Path(IMAGES).resolve()), LIMIT))


def walk(root):
    """Images below a folder in sorted order; no hidden ones, no links that lead out."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if name.startswith(".") or not name.lower().endswith(ENDINGS):
                continue
            image_id = path.relative_to(root).as_posix()
            is_text = image_id == image_id.encode(errors="ignore").decode()
            if is_text and path.is_file() and path.resolve().is_relative_to(root):
                yield image_id, str(path)
'''

LIST_BUCKET = Template('''
BUCKET = fs.S3FileSystem(anonymous=True, region=$region)


def list_images():
    """Pairs of an image's id and its key: the first LIMIT images in sorted order."""
    entries = BUCKET.get_file_info(fs.FileSelector(IMAGES, recursive=True))
    keys = sorted(entry.path for entry in entries if entry.is_file)
    images = [key for key in keys if key.lower().endswith(ENDINGS)][:LIMIT]
    return [(str(PurePosixPath(key).relative_to(IMAGES)), key) for key in images]
''')

READ = Template('''
def read(images):
    """A lazy data set of the images' bytes, read by one task at a time."""
    size = rows_per_block(len(images))
    blocks = []
    for start in range(0, len(images), size):
        image_ids, paths = zip(*images[start : start + size], strict=True)
        blocks.append(pa.table({"image_id": image_ids, "path": paths}))
    return ray.data.from_arrow(blocks).map_batches(
        read_block,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.TaskPoolStrategy(size=1),
        num_cpus=CPUS_FOR_READING,
    )


def rows_per_block(num_images):
    """Whole batches, about 32 images, and so few that there are at least ten blocks."""
    return BATCH_SIZE * max(1, min(32 // BATCH_SIZE, num_images // (10 * BATCH_SIZE)))


def read_block(block):
    """The bytes of every file, or the reason why it could not be read."""
    contents, reasons = [], []
    for path in block["path"].to_pylist():
        try:
            with $file as file:
                content, reason = file.read(), None
        except OSError as error:
            content, reason = None, str(error)
        contents.append(content)
        reasons.append(reason)
    columns = {
        "image_id": block["image_id"],
        "bytes": pa.array(contents, pa.binary()),
        "reason": pa.array(reasons, pa.string()),
    }
    return pa.table(columns)
''')

DECODE = '''
def decode_row(row):
    """The image, or the reason why there is none."""
    if row["bytes"] is None:
        return None, row["reason"]
    try:
        return decode(row["bytes"]), None
    except UnidentifiedImageError:
        return None, "not an image of a known format"
    except Exception as error:  # noqa: BLE001  # a broken file may raise anything
        return None, f"broken: {error}"


def decode(data):
    """An upright RGB image: what is transparent lies over white, 16 bits become 8."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as file:
        image = ImageOps.exif_transpose(file)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            image = image.convert("I").point(lambda value: value / 257).convert("L")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            paper = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(paper, image)
        return image.convert("RGB")
'''

WRITE = r'''
def write_csv(answers, path):
    """One line for each image; no cell looks like a formula to a spreadsheet."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ANSWER.names)
        writer.writeheader()
        for answer in answers:
            writer.writerow({name: harmless(value) for name, value in answer.items()})


def harmless(value):
    """The value, with an apostrophe before a text that begins like a formula."""
    if not isinstance(value, str):
        return value
    text = value.lstrip(" ")
    return "'" + value if text.startswith(("=", "+", "-", "@", "\t", "\r")) else value


if __name__ == "__main__":
    main()
'''
