"""The pieces of a program that differ by strategy and backend: its workers, and how they use the model.

As in `export_pieces`, they have the style of the programs.
"""

from __future__ import annotations

from string import Template

LESSONS = {
    "naive": """\
This is the naive way, kept to be measured: every batch goes to a task that loads the
model again. Loading it once for each worker is one change away: see ray.data's
ActorPoolStrategy.""",
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

# -- strategies: a function `classify` from a data set of bytes to one of answers -------------------------------------

_RESOURCES = """\
        batch_size=BATCH_SIZE,
        batch_format="{form}",
        compute=ray.data.{pool}(size=CONCURRENCY),
        num_cpus=CPUS_PER_WORKER,
        num_gpus=GPUS_PER_WORKER or None,
        # Also keeps Ray from fusing the steps before into the model's worker.
        runtime_env={{"env_vars": {environment}}},
"""
_ONE_BY_ONE = {"form": "pyarrow", "environment": '{"OMP_NUM_THREADS": str(THREADS_PER_WORKER)}'}

STRATEGIES = {
    "naive": f'''
def classify(images):
    """Run every batch through a task that knows nothing of the one before."""
    return images.map_batches(
        load_and_classify,
{_RESOURCES.format(pool="TaskPoolStrategy", **_ONE_BY_ONE)}    )


def load_and_classify(batch):
    """Load the model, use it for a handful of images, and forget it."""
    return classify_batch(load_model(), batch)
''',
    "actor": f'''
def classify(images):
    """Run every batch through one of CONCURRENCY long-lived workers."""
    return images.map_batches(
        Classifier,
{_RESOURCES.format(pool="ActorPoolStrategy", **_ONE_BY_ONE)}    )


class Classifier:
    """A worker that holds the model."""

    def __init__(self):
        """Runs once for each worker."""
        self.model = load_model()

    def __call__(self, batch):
        """Runs once for each batch, with the model in place."""
        return classify_batch(self.model, batch)
''',
    "batched": f'''
def classify(images):
    """Run every batch through one of CONCURRENCY long-lived workers."""
    return images.map_batches(
        Classifier,
{_RESOURCES.format(pool="ActorPoolStrategy", form="pyarrow", environment="ENVIRONMENT")}    )


class Classifier:
    """A worker that holds the model and decodes for it."""

    def __init__(self):
        """Runs once for each worker."""
        self.config = AutoConfig.from_pretrained(MODEL)
        self.processor = AutoImageProcessor.from_pretrained(MODEL)
        self.model = load_model()

    def __call__(self, batch):
        """Runs once for each batch: all of it is decoded, then classified at once."""
        images, reasons = decode_rows(batch)
        pixels = self.processor(images, return_tensors="pt")["pixel_values"]
        logits = forward(self.model, pixels)
        return to_answers(batch["image_id"].to_pylist(), reasons, logits, self.config)
''',
    "pipelined": f'''
def classify(images):
    """Decode in tasks of their own, while CONCURRENCY long-lived workers compute."""
    processor = AutoImageProcessor.from_pretrained(MODEL)
    pixels = images.map_batches(
        decode_block,
        fn_kwargs={{"processor": processor, "left_out": left_for_worker(processor)}},
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.TaskPoolStrategy(size=DECODERS),
        num_cpus=CPUS_FOR_READING,
    )
    return pixels.map_batches(
        Classifier,
{_RESOURCES.format(pool="ActorPoolStrategy", form="numpy", environment="ENVIRONMENT")}    )


def decode_block(block, processor, left_out):
    """A block's pictures as the model sees them, with 8 bits a colour if possible."""
    images, reasons = decode_rows(block)
    pixels = processor(images, return_tensors="np", **left_out)["pixel_values"]
    image_ids = block["image_id"].to_pylist()
    return {{"image_id": image_ids, "pixels": pixels, "reason": reasons}}


def left_for_worker(processor):
    """Settings that leave out what `finish` can do; none if it cannot."""
    settings = {{"do_rescale": False, "do_normalize": False}}
    gradient = Image.linear_gradient("L")
    image = Image.merge("RGB", [gradient.rotate(angle) for angle in (0, 90, 180)])
    whole = processor(image, return_tensors="pt")["pixel_values"]
    pixels = processor(image, return_tensors="pt", **settings)["pixel_values"]
    if pixels.dtype != torch.uint8:
        return {{}}
    same = torch.allclose(finish(pixels, processor), whole, atol=1e-3)
    return settings if same else {{}}


def finish(pixels, processor):
    """The processor's last two steps, for 8-bit pixels on whatever device."""
    values = pixels.float()
    if processor.do_rescale:
        values *= processor.rescale_factor
    if processor.do_normalize:
        mean, std = (
            torch.tensor(numbers, device=values.device).view(-1, 1, 1)
            for numbers in (processor.image_mean, processor.image_std)
        )
        values = (values - mean) / std
    return values


class Classifier:
    """A worker that holds the model, and is handed pixels."""

    def __init__(self):
        """Runs once for each worker."""
        self.config = AutoConfig.from_pretrained(MODEL)
        self.processor = AutoImageProcessor.from_pretrained(MODEL)
        self.model = load_model()

    def __call__(self, batch):
        """Runs once for each batch, while the next one is decoded elsewhere."""
        pixels = torch.tensor(batch["pixels"]).to(DEVICE)
        if pixels.dtype == torch.uint8:
            pixels = finish(pixels, self.processor)
        logits = forward(self.model, pixels)
        image_ids, reasons = batch["image_id"].tolist(), batch["reason"].tolist()
        return to_answers(image_ids, reasons, logits, self.config)
''',
}

# -- one image after the other ---------------------------------------------------------------------------------------

PIPELINE = '''
def load_model():
    """The pipeline of an image classifier."""
    return pipeline("image-classification", model=MODEL, device=DEVICE, dtype=DTYPE)
'''

COMPILED_PIPELINE = '''
def load_model():
    """The pipeline of an image classifier."""
    model = pipeline("image-classification", model=MODEL, device=DEVICE, dtype=DTYPE)
    model.model = torch.compile(model.model)
    return model
'''

CLASSIFY_BATCH = '''
def classify_batch(model, batch):
    """One answer for every image; one that cannot be read costs no other its label."""
    answers = []
    for row in batch.to_pylist():
        image, reason = decode_row(row)
        answer = {"image_id": row["image_id"], "reason": reason}
        if image is not None:
            best = model(image, top_k=1)[0]
            answer["label"], answer["score"] = best["label"], best["score"]
        answers.append(answer)
    return pa.Table.from_pylist(answers, schema=ANSWER)
'''

# -- whole batches: `load_model`, and `forward` from normalised pictures to logits -----------------------------------

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
"""By the names of `config.BACKENDS`. `layout` is empty or `CHANNELS_LAST`."""

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
    best = scores.max(dim=-1)
    rows = []
    for image_id, reason, score, index in zip(
        image_ids, reasons, best.values.tolist(), best.indices.tolist(), strict=True
    ):
        if reason:
            rows.append({"image_id": image_id, "reason": reason})
        else:
            label = config.id2label[index]
            rows.append({"image_id": image_id, "label": label, "score": score})
    return pa.Table.from_pylist(rows, schema=ANSWER)


def decode_rows(rows):
    """An image for each row, black where there is none, and the reasons for that."""
    images, reasons = [], []
    for row in rows.to_pylist():
        image, reason = decode_row(row)
        images.append(image or Image.new("RGB", (224, 224)))
        reasons.append(reason or "")
    return images, reasons
'''
