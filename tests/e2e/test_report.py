"""Exported reports in a real browser without a network."""

from pathlib import Path
from typing import Any

import pytest

from inference.bundled.samples import ensure_samples
from inference.export import export
from inference.listing import samples_folder
from inference.store import Store
from tests.pages import seed

CHARTS_OF_A_COMPARISON = (
    "Line chart of images per second over time.",
    "Stacked bars of worker time by phase.",
    "naive loads the model 25 times in 1 worker process",
    "actor loads the model once in 1 worker process",
    "Bars of shares of the images.",
)
CHARTS_OF_A_RUN = ("Step chart of images per second", "Bars of worker time by phase", "Timeline of")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports of a comparison and of one of its runs."""
    home = tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHSCOPE_HOME", str(home))
        ensure_samples(samples_folder(home), 12)
        store = Store(home)
        runs = [
            run for run_id in seed.comparison(store, (seed.NAIVE, seed.ACTOR), wrong=(7,)) if (run := store.get(run_id))
        ]
        export(runs, home / "comparison.html")
        export(runs[0], home / "run.html")
    return {"comparison": home / "comparison.html", "run": home / "run.html"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize(("kind", "charts"), [("comparison", CHARTS_OF_A_COMPARISON), ("run", CHARTS_OF_A_RUN)])
def test_a_report_shows_its_charts_and_pictures_without_a_network(
    kind: str, charts: tuple[str, ...], width: int, scheme: Any, reports: dict[str, Path], browser: Any
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_offline(True)
    page = context.new_page()
    requests: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(reports[kind].as_uri())

    shown = [image for image in page.get_by_role("img").all() if image.is_visible()]
    names = [str(image.get_attribute("aria-label") or image.get_attribute("alt")) for image in shown]
    widths = page.locator(".pictures img").evaluate_all("images => images.map(image => image.naturalWidth)")
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    context.close()

    assert [url for url in requests if not url.startswith("data:")] == [reports[kind].as_uri()]
    assert messages == []
    assert [chart for chart in charts if not any(chart in name for name in names)] == []
    assert "None" not in names
    assert len(widths) == 12
    assert all(width > 0 for width in widths)
    assert overflow == 0


def test_the_answer_of_a_comparison_comes_first(reports: dict[str, Path], browser: Any) -> None:
    page = browser.new_page()
    page.goto(reports["comparison"].as_uri())

    heading = page.get_by_role("heading", level=1).inner_text()
    table = page.get_by_role("table", name="The figures of every side").get_by_role("row").all_inner_texts()
    page.close()

    assert heading.startswith("actor is ")
    assert heading.endswith("faster than naive; answers agree on 100 of 100 images")
    assert [row.split()[0] for row in table[1:]] == ["naive", "actor"]
