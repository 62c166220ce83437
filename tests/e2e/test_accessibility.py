"""Every page, light and dark, for people who use a keyboard or a screen reader: axe's rules, names, and Tab."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inference.store import Store
from tests.e2e.conftest import serving, visitor
from tests.engine.conftest import new_home
from tests.pages import seed

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

DONE = """() => {
    const app = document.querySelector('[data-testid=stApp]')
    const waits = document.querySelector('[data-testid=stSpinner], [data-testid=stSkeleton], [data-stale=true]')
    return document.querySelector('[data-testid=stMain] h1') && !waits && app.dataset.testScriptState === 'notRunning'
}"""

IMPACTS = ("serious", "critical")

ALLOWED = {
    "list": "[data-testid=stSidebarNavItems]",
    "listitem": "[data-testid=stSidebarNavItems] li",
    "svg-img-alt": "[data-testid=stVegaLiteChart][aria-label] g[role=graphics-symbol]",
    "color-contrast": "[data-testid=stSliderThumbValue] *, [role=radio][data-selected=true] *",
}
"""Rules that do not hold for what Streamlit 1.67 and Vega draw by themselves, each with where.

- `list`, `listitem`: Streamlit wraps the first link of the navigation's list in a div.
- `svg-img-alt`: Vega calls every layer of marks a symbol, also one without marks: a stretch that nobody chose. The
  chart itself has a name, which is looked at here too.
- `color-contrast`: Streamlit writes a slider's value and the chosen segment in the primary colour, and on a primary
  button in white. On dark, no colour reaches 4.5 : 1 both ways; ours has 3.5 : 1 and more as text.
"""

FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex='0']"

TAB_STOPS = """focusable => {
    const group = one => one.closest('[role=radiogroup], [role=toolbar]') || one
    const all = [...document.querySelector('[data-testid=stMain]').querySelectorAll(focusable)].filter(one =>
        one.tabIndex >= 0 && !one.disabled && one.checkVisibility({visibilityProperty: true}) &&
        one.getClientRects().length > 0 && !one.closest('[inert], [aria-hidden=true]'))
    const stops = [...new Set(all.map(group))]
    all.forEach(one => one.dataset.stop = stops.indexOf(group(one)))
    return stops.length
}"""
"""Numbers what Tab has to reach in the main area, and says how many there are. Buttons that are one choice are one
stop: arrows reach the others."""

WALK = """() => {
    window.reached = []
    document.addEventListener('focusin', event => {
        const stop = event.target.dataset.stop
        if (stop !== undefined) window.reached.push(Number(stop))
    })
    const main = document.querySelector('[data-testid=stMain]')
    main.tabIndex = -1
    main.focus()
}"""
"""Puts the focus on the main area and takes down where it goes from there."""


@dataclass
class Seeded:
    """A server without an engine, on a home folder with runs of every kind."""

    url: str
    one: str
    """Id of an ended run."""
    three: tuple[str, ...]
    """Ids of runs that can be compared."""


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Iterator[Seeded]:
    home = new_home(tmp_path_factory.mktemp("accessible") / "home", samples)
    store = Store(home)
    seed.limit(store)
    seed.ladder(store)
    seed.comparison(store)
    three = tuple(seed.finished(store, config) for config in (seed.NAIVE, seed.ACTOR, seed.BATCHED))
    with serving(home, BATCHSCOPE_NO_ENGINE="1") as (url, _):
        yield Seeded(url, three[1], three)


@pytest.fixture(scope="module", params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Any) -> Iterator[Any]:
    """A page of a browser whose owner prefers this theme."""
    page = visitor(browser, color_scheme=request.param)
    yield page
    page.context.close()


def paths(page: Any, seeded: Seeded) -> list[str]:
    """Every page of the navigation, and those that show more when an address names runs."""
    open_page(page, seeded.url)
    links = page.get_by_test_id("stSidebarNavLink").evaluate_all("all => all.map(one => new URL(one.href).pathname)")
    three = ",".join(seeded.three)
    more = [f"/run?run={seeded.one}", f"/compare?runs={three}", f"/predictions?run={seeded.one}"]
    return [*links, *more]


def open_page(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_function(DONE)
    # Charts draw themselves after the script is done.
    page.wait_for_function(
        "() => [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(one => one.querySelector('svg'))"
    )


def violations(page: Any) -> list[str]:
    """What axe finds serious or critical, but for `ALLOWED`."""
    found = []
    for rule in axe.Axe().run(page).response["violations"]:
        if rule["impact"] not in IMPACTS:
            continue
        for node in rule["nodes"]:
            allowed = ALLOWED.get(rule["id"])
            (selector,) = node["target"]
            if allowed is None or not page.locator(selector).first.evaluate("(one, css) => one.matches(css)", allowed):
                found.append(f"{rule['id']}: {node['html'][:200]}")
    return found


def nameless(page: Any) -> list[str]:
    """Pictures without an alternative text, and charts without a name."""
    css = "img:not([alt]), [data-testid=stVegaLiteChart]:not([aria-label])"
    script = "css => [...document.querySelectorAll(css)].map(one => 'no name: ' + one.outerHTML.slice(0, 200))"
    return list(page.evaluate(script, css))


def test_axe_finds_nothing_serious_and_every_picture_and_chart_has_a_name(page: Any, seeded: Seeded) -> None:
    found = {}
    for path in paths(page, seeded):
        open_page(page, seeded.url + path)
        found[path] = violations(page) + nameless(page)

    assert {path: some for path, some in found.items() if some} == {}


def test_axe_finds_nothing_serious_where_one_picture_is_looked_at(page: Any, seeded: Seeded) -> None:
    open_page(page, f"{seeded.url}/predictions?run={seeded.one}&image=1")
    page.get_by_role("dialog").wait_for()

    assert violations(page) == []


@pytest.mark.parametrize("page", ["light"], indirect=True)
def test_tab_reaches_everything_in_the_order_in_which_it_stands(page: Any, seeded: Seeded) -> None:
    missed = {}
    for path in paths(page, seeded):
        open_page(page, seeded.url + path)
        expected = page.evaluate(TAB_STOPS, FOCUSABLE)
        reached = walked(page, expected)
        if reached != list(range(expected)):
            missed[path] = [name_of(page, number) for number in range(expected) if number not in reached] or reached

    assert missed == {}


def walked(page: Any, stops: int) -> list[int]:
    """The numbers of the stops of the main area, in the order in which Tab reaches them for the first time."""
    page.evaluate(WALK)
    for _ in range(stops + 10):
        page.keyboard.press("Tab")
    return list(dict.fromkeys(page.evaluate("() => window.reached")))


def name_of(page: Any, number: int) -> str:
    return str(page.locator(f"[data-stop='{number}']").first.evaluate("one => one.outerHTML.slice(0, 200)"))
