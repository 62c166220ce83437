"""Names that would like to be more than names: on every page and in every report they are shown as they are written."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from inference.config import RunConfig, interleaved
from inference.export import exported
from inference.history import History
from inference.ladder import steps
from inference.results import Prediction, Progress
from inference.store import Store
from inference.wording import plain, shortened
from tests.conftest import wait_until
from tests.e2e.conftest import open_page, serving, tick_first_run, visitor
from tests.engine.conftest import new_home
from tests.pages import seed

sync_api = pytest.importorskip("playwright.sync_api")

LONG = "long" + "m" * 296
HOSTILE = (
    "<script>window.pwned=1</script>",
    "<img src=http://evil.test/a onerror=x>",
    '<svg onload="window.pwned=2">',
    "<b>BOLDMARK</b><!-- ",
    "![p](http://evil.test/b.png)",
    "[LINKMARK](javascript:window.pwned=3)",
    ":red[REDMARK]",
    ":blue-background[BACKMARK]",
    ":material/skull: :ghost: :streamlit:",
    "$MATHMARK^2$ and $$x$$",
    "`CODEMARK` **STARMARK** _UNDERMARK_",
    "~~CUTMARK~~ -> <-> >= -- ...",
    "# HEADMARK",
    "- LISTMARK",
    "> QUOTEMARK",
    "1. ONEMARK",
    "| a | b |",
    "http://evil.test/auto www.evil.test",
    "me@evil.test mailto:me@evil.test",
    "\u202egnp.exe\u202c",
    "مرحبا بالعالم",
    "👩\u200d🚀🙂",
    "quo\"te' \\ back\\slash",
    "&lt;AMPMARK&gt; &#60;",
    "{{x}} %s ${y} datum.label",
    "zero\u200bwidth \x1b[31m",
    "=cmd|'/C calc'!A0",
    "two\nlines\tand a tab",
    LONG,
)
SIGNS = ("<b>BOLDMARK</b>", "[LINKMARK](", ":red[REDMARK]", ":blue-background[BACKMARK]", "$MATHMARK^2$", "`CODEMARK`")
SIGNS += (
    "**STARMARK**",
    "_UNDERMARK_",
    "~~CUTMARK~~",
    "# HEADMARK",
    "- LISTMARK",
    "> QUOTEMARK",
    "1. ONEMARK",
    "&lt;AMPMARK",
)
MARKED = {re.sub("[^A-Z]", "", signs): signs for signs in SIGNS}
"""Words with the signs that must still stand around them."""
IMAGES = 96
"""Each name is an answer of three or four of them, and every page of pictures has all names."""


@dataclass
class Hostile:
    """A server without an engine, on a home folder in which every name is hostile."""

    url: str
    store: Store
    comparison: list[str]
    few_labels: str
    """A run with so few labels that it has a chart of right and wrong ones."""
    failed: str


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[Hostile]:
    root = tmp_path_factory.mktemp("hostile")
    home = new_home(root / "home", samples)
    pictures = root / "pictures :red[x] <b> $y$ `z` \u202e.."
    store = Store(home)
    ids = image_ids()
    for image_id in ids:
        with_picture = pictures / image_id
        if "//" not in image_id and len(with_picture.name.encode()) < 250 and len(image_id) < 900:
            with_picture.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (len(image_id) % 256, 90, 120)).save(with_picture)
    config = RunConfig(
        model=str(root / "models" / "m ![p](http://evil.test/m.png) :red[REDMARK] <i>"),
        dataset=str(pictures),
        limit=IMAGES,
    )
    configs = [config.with_(strategy=name, threads=threads) for name, threads in (("naive", 0), ("actor", 0))]
    comparison = launched(store, interleaved(configs, 2))
    launched(store, [step.config for step in steps(config, seed.HARDWARE)])
    launched(store, [config.with_(strategy="batched", labels=HOSTILE[:20], members=(f"{root}/[x](javascript:1)",))])
    (few_labels,) = launched(store, [config.with_(strategy="actor")], HOSTILE[:12])
    (failed,) = store.enqueue([config])
    seed.start_next(store)
    store.end(failed, "failed", error="\n".join(HOSTILE))
    for run_id in (*comparison, failed):
        tags = [text for text in HOSTILE[:20] if len(text) <= 30]
        History(store.database).describe(run_id, name=HOSTILE[1], note="\n".join(HOSTILE), tags=tags, favourite=True)
    seed.engine(store)
    with serving(home, BATCHSCOPE_NO_ENGINE="1") as (url, _):
        yield Hostile(url, store, comparison, few_labels, failed)


def image_ids() -> list[str]:
    """Paths below the data set's folder, such as a list or a file system may have."""
    return [f"{number:03d} {HOSTILE[number % len(HOSTILE)]}.png" for number in range(IMAGES)]


def launched(store: Store, configs: Sequence[RunConfig], labels: Sequence[str] = HOSTILE) -> list[str]:
    """Finished runs of one launch, all names of which are hostile; the first answers all right, unless it is alone."""
    ids = store.enqueue(configs, compare=len(configs) > 1)
    for number, config in enumerate(configs):
        run_id = seed.start_next(store)
        spans = seed.spans_of(config, seed=number)
        wrong = number == 1 or len(configs) == 1
        predictions = [
            answer(place, one, labels, wrong=wrong) for place, one in enumerate(seed.answers_of(config, spans))
        ]
        store.save_progress(
            run_id,
            Progress(phase="finishing", images_done=IMAGES, images_total=IMAGES, elapsed_s=9.0),
            spans=spans,
            samples=seed.samples_of(spans) + seed.machine_samples_of(spans),
            predictions=predictions,
            messages=list(HOSTILE),
        )
        store.end(run_id, "finished", plan="\n".join(HOSTILE))
    return ids


def answer(place: int, one: Prediction, labels: Sequence[str], *, wrong: bool) -> Prediction:
    """The same answer with other names; every ninth image has none, and every fourth a wrong one."""
    truth, other = labels[place % len(labels)], labels[(place + 1) % len(labels)]
    named = dataclasses.replace(one, image_id=image_ids()[place], truth=truth)
    if place % 9 == 8:
        return dataclasses.replace(named, label=None, score=None, status="error", reason=truth, top=())
    label = other if wrong and place % 4 == 0 else truth
    ordered = (label, *(text for text in labels if text != label))
    top = tuple((name, score) for name, (_, score) in zip(ordered, one.top, strict=False))
    return dataclasses.replace(named, label=label, top=top)


INJECTED = """marked => {
    const found = [];
    if (window.pwned !== undefined) found.push(`a script ran: ${window.pwned}`);
    for (const element of document.querySelectorAll('*')) {
        for (const name of ['src', 'href', 'xlink:href', 'action', 'data', 'poster', 'srcset', 'style']) {
            const value = element.getAttribute(name) || '';
            const target = URL.canParse(value, location.href) ? new URL(value, location.href) : null;
            const leads = name === 'style' || !target ? value : target.protocol + target.host;
            if (/^javascript:|evil\\.test/.test(leads)) found.push(`${element.tagName} ${name}=${value}`);
        }
        for (const name of element.getAttributeNames())
            if (name.startsWith('on')) found.push(`${element.tagName} ${name}`);
        const text = element.children.length ? '' : element.textContent.replace(/\\u2060/g, '');
        for (const [mark, signs] of Object.entries(marked))
            if (text.includes(mark) && !text.includes(signs) && !text.includes('…'))
                found.push(`${element.tagName} holds ${text}`);
        if (element.matches('.katex, script:not([src]), iframe') && /evil|pwned|MARK|\\^2/.test(element.textContent))
            found.push(`${element.tagName} ${element.className}: ${element.textContent}`);
        if (element.matches('[data-testid=stIconMaterial]') && element.textContent.trim() === 'skull')
            found.push('an icon');
    }
    if (document.body.textContent.includes('👻')) found.push('an emoji for a shortcode');
    return found;
}"""
SAID = """() => {
    const said = [document.body.innerText];
    for (const text of document.querySelectorAll('svg text')) said.push(text.textContent);
    for (const name of ['alt', 'title', 'aria-label'])
        for (const element of document.querySelectorAll(`[${name}]`)) said.push(element.getAttribute(name));
    return said.join('\\n');
}"""


def said(page: Any) -> str:
    """All that a page says, without what keeps it literal: invisible joiners and isolates."""
    return re.sub(r"\s+", " ", re.sub("[\u2060\u2068\u2069]", "", page.evaluate(SAID)))


@pytest.fixture
def guarded(browser: Any, hostile: Hostile) -> Iterator[Any]:
    """A visitor whose page must do nothing of its own accord; what it does is noted."""
    page = visitor(browser, color_scheme="light")
    page.noted = []
    page.on("dialog", lambda dialog: (page.noted.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: page.noted.append(f"error {error}"))
    page.on("request", lambda request: page.noted.append(request.url) if elsewhere(request.url, hostile) else None)
    yield page
    page.context.close()


def elsewhere(url: str, hostile: Hostile) -> bool:
    return not url.startswith((hostile.url, hostile.url.replace("http", "ws"), "data:", "blob:", "file:"))


def settled(page: Any) -> None:
    """Wait until the page has drawn everything."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_function("() => !document.querySelector('[data-stale=true]')")


def looked_at(page: Any, name: str) -> None:
    """What must be true of every page."""
    settled(page)
    assert page.noted == []
    assert page.evaluate(INJECTED, MARKED) == []
    wide = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth - window.innerWidth")
    assert wide <= 0, f"{name} is {wide} pixels wider than the window"


def shown(page: Any) -> list[str]:
    """The names that a page shows as they are written."""
    text = said(page)
    return [name for name in HOSTILE if plain(name) in text or shortened(name, 40) in text]


@pytest.mark.parametrize(
    ("name", "query", "names"),
    [
        ("overview", "", 10),
        ("run", "?run={first}", 10),
        ("run", "?run={failed}", len(HOSTILE)),
        ("ladder", "", 0),
        ("compare", "?runs={first},{second}", 15),
        ("predictions", "?run={first}", len(HOSTILE)),
        ("learn", "?chapter=1", 0),
        ("history", "", 0),
    ],
)
def test_no_name_does_anything_on_a_page(guarded: Any, hostile: Hostile, name: str, query: str, names: int) -> None:
    first, second = hostile.comparison[:2]
    address = query.format(first=first, second=second, failed=hostile.failed)

    open_page(guarded, f"{hostile.url}/{'' if name == 'overview' else name}{address}")

    wait_until(lambda: len(shown(guarded)) >= names, seconds=15, what=f"{names} names as they are written")
    looked_at(guarded, name)


@pytest.mark.parametrize("place", [1, 9])
def test_no_name_does_anything_beside_its_picture(guarded: Any, hostile: Hostile, place: int) -> None:
    open_page(guarded, f"{hostile.url}/predictions?run={hostile.comparison[0]}&image={place}")

    name = plain(image_ids()[place - 1])
    wait_until(lambda: name in said(guarded), seconds=15, what="the image's name as it is written")
    looked_at(guarded, f"image-{place}")


def test_no_name_does_anything_in_a_chart_and_its_tooltips(guarded: Any, hostile: Hostile) -> None:
    open_page(guarded, f"{hostile.url}/predictions?run={hostile.few_labels}")
    settled(guarded)
    guarded.get_by_text("Right and wrong by class").click()
    box = guarded.locator("[data-testid=stVegaLiteChart] .mark-rect path").first
    tooltip = guarded.locator("#vg-tooltip-element.visible")

    def told() -> bool:
        box.hover(position={"x": 4, "y": 4}, force=True)
        guarded.mouse.move(0, 0, steps=4)  # a chart that is drawn anew hears of the next visit
        box.hover(position={"x": 6, "y": 6}, force=True)
        return any(plain(name) in " ".join(tooltip.all_inner_texts()) for name in HOSTILE[:12])

    wait_until(told, seconds=20, what="a tooltip with a name as it is written")
    looked_at(guarded, "tooltips")


def test_no_name_does_anything_in_a_demo_that_plays(guarded: Any, hostile: Hostile) -> None:
    open_page(guarded, f"{hostile.url}/replay?runs={','.join(hostile.comparison[:2])}")
    settled(guarded)

    guarded.get_by_role("slider").last.press("End")

    guarded.wait_for_function("() => document.querySelectorAll('[data-testid=stImage] img').length > 4")
    looked_at(guarded, "replay-end")
    wait_until(lambda: len(shown(guarded)) >= 4, seconds=15, what="the latest pictures with their names")


def test_no_name_does_anything_where_runs_are_described(guarded: Any, hostile: Hostile) -> None:
    open_page(guarded, f"{hostile.url}/history?find={hostile.failed}")
    tick_first_run(guarded)

    guarded.get_by_role("button", name="Name, note, tags").click()

    guarded.get_by_role("dialog").wait_for()
    looked_at(guarded, "described")


@pytest.mark.parametrize("runs", ["one", "several"])
def test_no_name_does_anything_in_a_report(guarded: Any, hostile: Hostile, tmp_path: Path, runs: str) -> None:
    records = [record for run_id in hostile.comparison if (record := hostile.store.get(run_id)) is not None]
    report = tmp_path / "report.html"
    report.write_bytes(exported(records[0] if runs == "one" else records, "html", home=hostile.store.home))

    guarded.goto(report.as_uri())

    assert guarded.noted == []
    assert guarded.evaluate(INJECTED, MARKED) == []
    assert guarded.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    told = said(guarded)
    assert [name for name in HOSTILE if runs == "one" and plain(name) not in told] == []
