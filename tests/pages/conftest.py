"""The whole app in AppTest, on a home folder of its own, with no engine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from inference import folders  # noqa: E402
from inference.store import Store  # noqa: E402  # found through the path above
from pages.ui import widgets  # noqa: E402

OpenPage = Callable[..., AppTest]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BATCHSCOPE_HOME", str(tmp_path))
    monkeypatch.setenv("BATCHSCOPE_NO_ENGINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv(folders.NAMED, str(tmp_path.parent))  # and nothing of this machine
    return tmp_path


@pytest.fixture(autouse=True)
def _checked_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chart that a page draws is checked against Vega-Lite's schema, which pages leave out for speed."""
    monkeypatch.setattr(widgets, "spec_of", lambda chart: chart.to_dict(validate=True))


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


@pytest.fixture
def open_page(home: Path) -> OpenPage:
    """`open_page("run", {"batch_size": "8"})` opens a page through app.py, as its address would."""

    def opened(name: str, query: Mapping[str, str] | None = None) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        app.switch_page(f"pages/{name}.py")
        app.query_params.update(query or {})
        app.run()
        return app

    return opened


def words(app: AppTest) -> str:
    """Everything that a page says, one element per line."""
    kinds = ("title", "subheader", "markdown", "caption", "text", "code", "error", "warning", "info", "success")
    return "\n".join(element.value for kind in kinds for element in app.get(kind))
