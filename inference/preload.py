"""What a Ray process imports before its first task: everything that a model needs, if it is to run one.

Ray imports this module in every process that it starts (`preload_python_modules`). Importing torch and
transformers takes seconds of CPU, which a process that only reads files should not pay: processes for models
carry `MODEL_WORKER_VARIABLE` in their environment, and only they import. See `inference.warm`.
"""

from __future__ import annotations

import os
from pathlib import Path

from inference import recorder

MODEL_WORKER_VARIABLE = "BATCHSCOPE_MODEL_WORKER"
"""Its value is the folder in which the process announces, by a file named after its id, that it is warm."""


def _import_models(announce_in: Path) -> None:
    start_at = recorder.now_s()
    import inference.models
    import inference.strategies
    import inference.watch  # noqa: F401  # the imports are the point: Ray Data is one of them

    recorder.note_imports(start_at, recorder.now_s())
    (announce_in / str(os.getpid())).touch()


if MODEL_WORKER_VARIABLE in os.environ:
    _import_models(Path(os.environ[MODEL_WORKER_VARIABLE]))
