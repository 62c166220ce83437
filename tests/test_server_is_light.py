"""The web server must stay light: the heavy packages belong to the engine's process alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

VISIT_EVERY_PAGE = """
import sys
from pathlib import Path

root, home = map(Path, sys.argv[1:])
sys.path[:0] = [str(root), str(root / "tests" / "pages")]

import seed
from inference.store import Store
from streamlit.testing.v1 import AppTest

store = Store(home)
seed.engine(store)
seed.samples(home, 12)
ids = seed.comparison(store, (seed.NAIVE, seed.ACTOR))
failed = seed.ended(store, "failed", error="why")
store.enqueue([seed.ACTOR, seed.NAIVE])
live = seed.start_next(store)
seed.work(store, live, share=0.5)

visits = [(page.stem, {}) for page in sorted((root / "pages").glob("[!_]*.py"))]
visits += [("run", {"run": run}) for run in (ids[0], failed, live, ",".join(ids))]
visits += [("compare", {"runs": ",".join(ids)})]
for name, query in visits:
    app = AppTest.from_file(str(root / "app.py"), default_timeout=60)
    app.switch_page(f"pages/{name}.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception, (name, query, app.exception)
    assert app.title, (name, query)

heavy = sorted({"ray", "torch", "transformers"} & set(sys.modules))
print("heavy:", *heavy)
"""


def test_visiting_every_page_imports_neither_ray_nor_torch_nor_transformers(tmp_path: Path) -> None:
    visit = subprocess.run(
        [sys.executable, "-c", VISIT_EVERY_PAGE, str(ROOT), str(tmp_path)],
        env={
            "BATCHSCOPE_HOME": str(tmp_path),
            "BATCHSCOPE_NO_ENGINE": "1",
            "HF_HUB_OFFLINE": "1",
            "HOME": str(tmp_path),
            "PATH": "",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert visit.returncode == 0, visit.stderr[-3000:]
    assert visit.stdout.splitlines()[-1] == "heavy:"


def test_the_keeper_of_the_engine_needs_nothing_heavy() -> None:
    code = "import inference.supervisor, sys; print(*sorted({'ray', 'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""
