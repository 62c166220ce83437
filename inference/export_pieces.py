"""The pieces that programs are put together from; `export_script` chooses among them.

Pieces have the style of the programs: lines of 88 characters, no types, a docstring for each function. Every program
has a `Classifier`, a worker that loads the model once and answers batches; strategies differ in who holds it, in
whether a batch is one forward pass, and in where images are decoded.
"""

from __future__ import annotations

from string import Template

HEADER = Template('''\
"""Classify images with Ray Data, with the settings of a run that Batchscope measured.

    python this_file.py > answers.jsonl   prints one line of JSON for each image

$lesson

MODEL and IMAGES are where they were on the machine that exported this program; edit
them, and whatever else is written in capitals, to suit yours. It needs:

$requirements
"""
''')

LESSONS = {
    "naive": """\
This is the naive way, kept to be measured: every batch goes to a task that loads the
model again. Loading it once for each worker is one change away: give `map_batches`
the class Classifier itself, and ray.data.ActorPoolStrategy.""",
    "actor": """\
Every worker is an actor that loads the model once and keeps it for all its batches.""",
    "batched": """\
Every worker is an actor that loads the model once, and one forward pass takes a whole
batch. While a worker decodes, nothing computes.""",
    "pipelined": """\
Every worker is an actor that loads the model once, and one forward pass takes a whole
batch. Tasks of their own decode and resize the next images meanwhile.""",
}
"""What each strategy's program shows, for its docstring."""

CONSTANTS = Template("""\
MODEL = $model
IMAGES = $images
LIMIT = $limit  # images, $which
BATCH_SIZE = $batch_size  # images that a worker gets in one call
CONCURRENCY = $concurrency  # workers at the same time
CPUS_PER_WORKER = $cpus_per_worker
GPUS_PER_WORKER = $gpus_per_worker
THREADS_PER_WORKER = $threads_per_worker
${decoders}DEVICE = $device
DTYPE = $dtype

FORMATS = $formats
ENDINGS = $endings
# An answer is a label with its score, or the reason why there is none.
ANSWER = {
    "image_id": "string",
    "label": "string",
    "score": "double",
    "reason": "string",
}
${seed}${environment}""")

DECODERS = Template("""\
DECODERS = $decoders  # tasks that decode at the same time
CPUS_PER_DECODER = $cpus_per_decoder  # must be free beside the workers, or the run hangs
""")

ENVIRONMENT = """\
ENVIRONMENT = {"OMP_NUM_THREADS": str(THREADS_PER_WORKER)}
"""

ENVIRONMENT_WITH_MEMORY = """\
ENVIRONMENT = {
    "OMP_NUM_THREADS": str(THREADS_PER_WORKER),
    # glibc shall keep the memory of a layer for the next one; taking it anew is slow.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
}
"""

MAIN = Template('''
def main():
    """Classify the images and print each answer as it comes, in whatever order."""
    found = $found
    images = [{"image_id": image_id, "path": path} for image_id, path in found]
    if not images:
        raise SystemExit(f"there are no images in {IMAGES}")
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    # Blocks of whole batches, about 32 images, and at least ten of them.
    size = BATCH_SIZE * max(1, min(32 // BATCH_SIZE, len(images) // (10 * BATCH_SIZE)))
    starts = range(0, len(images), size)
    blocks = [pa.Table.from_pylist(images[start : start + size]) for start in starts]
    for answer in classify(ray.data.from_arrow(blocks)).iter_rows():
        print(json.dumps(answer), flush=True)
''')

FIRST = "islice(list_images(), LIMIT)"

DRAWN = "drawn(list(list_images()))"

DRAW = '''
def drawn(images):
    """As many as LIMIT of the images, by lot; the same SEED draws the same ones."""
    places = range(len(images))
    chosen = random.Random(SEED).sample(places, min(LIMIT, len(images)))
    return [images[place] for place in sorted(chosen)]
'''

LIST_FOLDER = '''
def list_images():
    """Ids and paths of the images below IMAGES, sorted; none hidden or linked out."""
    root = Path(IMAGES).resolve()
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith(".") or not name.lower().endswith(ENDINGS):
                continue
            path = Path(folder, name)
            image_id = path.relative_to(root).as_posix()
            is_text = image_id == image_id.encode(errors="ignore").decode()
            if is_text and path.is_file() and path.resolve().is_relative_to(root):
                yield image_id, str(path)
'''

LIST_BUCKET = Template('''
BUCKET = fs.S3FileSystem($access)


def list_images():
    """Ids and keys of the images below IMAGES, sorted."""
    for entry in sorted(
        BUCKET.get_file_info(fs.FileSelector(IMAGES, recursive=True)),
        key=lambda entry: entry.path,
    ):
        if entry.is_file and entry.path.lower().endswith(ENDINGS):
            yield entry.path.removeprefix(f"{IMAGES}/"), entry.path
''')

# -- strategies: a function `classify` from a data set of paths to one of answers --------------------------------------

_RESOURCES = """\
        batch_size=BATCH_SIZE,
        batch_format="{form}",
        compute=ray.data.{pool}(size=CONCURRENCY),
        num_cpus=CPUS_PER_WORKER,
        num_gpus=GPUS_PER_WORKER or None,
        runtime_env={{"env_vars": ENVIRONMENT}},{why}
"""

_ACTORS = f'''
def classify(images):
    """Run every batch through one of CONCURRENCY long-lived workers."""
    return images.map_batches(
        Classifier,
{_RESOURCES.format(pool="ActorPoolStrategy", form="pyarrow", why="")}    )
'''

STRATEGIES = {
    "naive": f'''
def classify(images):
    """Run every batch through a task that knows nothing of the one before."""
    return images.map_batches(
        load_and_classify,
{_RESOURCES.format(pool="TaskPoolStrategy", form="pyarrow", why="")}    )


def load_and_classify(batch):
    """Load the model, use it for a handful of images, and forget it."""
    return Classifier()(batch)
''',
    "actor": _ACTORS,
    "batched": _ACTORS,
    "pipelined": f'''
def classify(images):
    """Decode in tasks of their own, while CONCURRENCY long-lived workers compute."""
    pixels = images.map_batches(
        decode_block,
        fn_kwargs={{"processor": AutoImageProcessor.from_pretrained(MODEL)}},
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.TaskPoolStrategy(size=DECODERS),
        num_cpus=CPUS_PER_DECODER,
    )
    return pixels.map_batches(
        Classifier,
{_RESOURCES.format(pool="ActorPoolStrategy", form="numpy", why="  # also keeps Ray from fusing both steps")}    )


def decode_block(block, processor):
    """A block's pictures as the model sees them."""
    images, reasons = decode_all(block["path"].to_pylist())
    pixels = processor(images, return_tensors="np")["pixel_values"]
    image_ids = block["image_id"].to_pylist()
    return {{"image_id": image_ids, "pixels": pixels, "reason": reasons}}
''',
}

# -- workers -----------------------------------------------------------------------------------------------------------

ONE_BY_ONE = Template('''
class Classifier:
    """A worker that holds the model and takes one image after the other."""

    def __init__(self):
        """Load the model."""
        self.pipe = pipeline(
            "image-classification", model=MODEL, device=DEVICE, dtype=DTYPE
        )
$compile
    def __call__(self, batch):
        """One answer for every image: a label, or the reason why there is none."""
        answers = []
        for row in batch.to_pylist():
            image, reason = decode(row["path"])
            best = self.pipe(image, top_k=1)[0] if image else {}
            answers.append({"image_id": row["image_id"], "reason": reason} | best)
        return pa.Table.from_pylist(answers, schema=pa.schema(ANSWER))
''')

COMPILE_PIPE = """\
        self.pipe.model = torch.compile(self.pipe.model)
"""

_LOAD = '''
    def __init__(self):
        """Load the model."""
        self.config = AutoConfig.from_pretrained(MODEL)
{processor}        self.model = load_model()
'''

WHOLE_BATCHES = {
    "batched": f'''
class Classifier:
    """A worker that holds the model, and decodes for it."""
{_LOAD.format(processor="        self.processor = AutoImageProcessor.from_pretrained(MODEL)" + chr(10))}
    def __call__(self, batch):
        """Decode all of the batch, then classify it at once."""
        images, reasons = decode_all(batch["path"].to_pylist())
        pixels = self.processor(images, return_tensors="pt")["pixel_values"]
        logits = forward(self.model, pixels)
        return to_answers(batch["image_id"].to_pylist(), reasons, logits, self.config)
''',
    "pipelined": f'''
class Classifier:
    """A worker that holds the model, and is handed pixels."""
{_LOAD.format(processor="")}
    def __call__(self, batch):
        """Classify the batch at once, while the next one is decoded elsewhere."""
        logits = forward(self.model, torch.tensor(batch["pixels"]))
        return to_answers(batch["image_id"], batch["reason"], logits, self.config)
''',
}

_FILL_UP = '''

def fill_up(pixels):
    """A batch of BATCH_SIZE: the model is built for this one shape."""
    empty = pixels.new_zeros(BATCH_SIZE - len(pixels), *pixels.shape[1:])
    return torch.cat([pixels, empty])
'''

FORWARD = {
    "eager": Template('''
def load_model():
    """The model, on its device."""
    model = AutoModelForImageClassification.from_pretrained(MODEL, dtype=DTYPE)
    return model.eval().to(DEVICE$layout)


@torch.inference_mode()
def forward(model, pixels):
    """The logits of a whole batch, in one pass."""
    pixels = pixels.to(DEVICE, model.dtype$layout)
    return model(pixel_values=pixels).logits.float().cpu()
'''),
    "compile": Template(f'''
def load_model():
    """The model, on its device; its first batch compiles it."""
    model = AutoModelForImageClassification.from_pretrained(MODEL, dtype=DTYPE)
    model = model.eval().to(DEVICE$layout)
    return torch.compile(model, dynamic=False)


@torch.inference_mode()
def forward(model, pixels):
    """The logits of a whole batch, in one pass."""
    batch = fill_up(pixels).to(DEVICE, model.dtype$layout)
    return model(pixel_values=batch).logits[: len(pixels)].float().cpu()
{_FILL_UP}'''),
    "openvino": Template(f'''
def load_model():
    """The model, converted to OpenVINO and compiled for batches of BATCH_SIZE."""
    # Without this module, OpenVINO does not report its use to its makers.
    sys.modules["openvino_telemetry"] = None
    import openvino

    # OpenVINO is given the full weights and computes with them as DTYPE says.
    model = AutoModelForImageClassification.from_pretrained(MODEL, dtype="float32")
    processor = AutoImageProcessor.from_pretrained(MODEL)
    images = [Image.new("RGB", (224, 224))] * BATCH_SIZE
    example = processor(images, return_tensors="pt")["pixel_values"]
    converted = openvino.convert_model(
        model.eval(), example_input={{"pixel_values": example}}
    )
    converted.reshape(list(example.shape))
    precisions = {{"float32": "f32", "bfloat16": "bf16", "float16": "f16"}}
    settings = {{
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precisions[DTYPE],
        "INFERENCE_NUM_THREADS": THREADS_PER_WORKER,
        # Every worker would pin its threads to the same first cores.
        "ENABLE_CPU_PINNING": False,
    }}
    return openvino.Core().compile_model(converted, "CPU", settings)


def forward(model, pixels):
    """The logits of a whole batch, in one pass."""
    logits = model(fill_up(pixels).numpy())[0]
    return torch.from_numpy(logits)[: len(pixels)]
{_FILL_UP}'''),
}
"""By the names of `config.BACKENDS`: `load_model`, and `forward` from pictures to logits. `layout` is empty or
`CHANNELS_LAST`."""

CHANNELS_LAST = ", memory_format=torch.channels_last"

TO_ANSWERS = '''
def to_answers(image_ids, reasons, logits, config):
    """One answer for every image: a label, or the reason why there is none."""
    if config.problem_type == "regression":
        scores = logits
    elif config.problem_type == "multi_label_classification" or config.num_labels == 1:
        scores = logits.sigmoid()
    else:
        scores = logits.softmax(dim=-1)
    answers = []
    for name, reason, row in zip(image_ids, reasons, scores, strict=True):
        best = int(row.argmax())
        known = {"label": config.id2label[best], "score": row[best].item()}
        answers.append({"image_id": name} | ({"reason": reason} if reason else known))
    return pa.Table.from_pylist(answers, schema=pa.schema(ANSWER))


def decode_all(paths):
    """An image for each path, black where there is none, and the reasons for that."""
    images, reasons = zip(*map(decode, paths), strict=True)
    black = Image.new("RGB", (224, 224))
    return [image or black for image in images], [reason or "" for reason in reasons]
'''

DECODE = Template('''
def decode(path):
    """An upright RGB image, transparency over white; or None and the reason why."""
    try:
${fetched}        with Image.open($file, formats=FORMATS) as file:
            image = ImageOps.exif_transpose(file)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):  # 16 bits
            image = image.convert("I").point(lambda value: value / 257).convert("L")
        if image.has_transparency_data:
            paper = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(paper, image.convert("RGBA"))
        return image.convert("RGB"), None
    except Exception as error:  # noqa: BLE001  # a broken file may raise anything
        return None, f"{type(error).__name__}: {error}"
''')

FETCHED = """\
        data = io.BytesIO(BUCKET.open_input_file(path).read())
"""

END = """
if __name__ == "__main__":
    main()
"""
