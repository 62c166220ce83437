"""Whatever is given as a setting: it works, or is refused by its name, in the form, an address, a command or a file."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from inference import bundle, cli
from inference.config import RunConfig
from inference.errors import InvalidBundle, InvalidConfig
from inference.store import Store
from pages.ui import address
from tests.pages import seed
from tests.pages.conftest import home, open_page, store

__all__ = ["home", "open_page", "store"]  # fixtures

WHOLE = ("limit", "batch_size", "concurrency", "threads", "decoders", "sample_seed")
NUMBERS = ("cpus_per_worker", "gpus_per_worker")
CHOICES = ("strategy", "combine", "dtype", "backend")
NAMES = ("model", "dataset")
LISTS = ("labels", "members")
SETTINGS = (*WHOLE, *NUMBERS, *CHOICES, *NAMES, *LISTS, "channels_last")

NO_NUMBERS = (
    -1,
    10**9 * 10**9,
    10**400,
    math.nan,
    math.inf,
    -math.inf,
    "4",
    "",
    "0x10",
    "４",
    "1e1",
    True,
    [4],
    {},
    (4,),
)
NO_WHOLES = (*NO_NUMBERS, 1.0, 2.5, 2**31)
NO_CHOICES = (
    "",
    " ",
    "fast",
    "Actor",
    "eager\n",
    "actor;naive",
    "x" * 100_000,
    0,
    True,
    None,
    ["actor"],
    {},
    ("eager",),
)
NO_NAMES = ("", " ", "\n\t", "a\0b", "x" * 100_000, 0, True, None, ["digits"], {})
NO_LISTS = ("a,b", ["a", "b"], ("a", 1), ("a", ""), ("a", "a"), ("a", None), ("a\0", "b"), {"a": "b"}, 1, None, True)
NO_TRUTHS = (0, 1, "true", "", None, [], "yes")

BAD: Mapping[str, tuple[object, ...]] = {
    **dict.fromkeys(WHOLE, NO_WHOLES),
    **dict.fromkeys(NUMBERS, NO_NUMBERS),
    **dict.fromkeys(CHOICES, NO_CHOICES),
    **dict.fromkeys(NAMES, NO_NAMES),
    **dict.fromkeys(LISTS, NO_LISTS),
    "channels_last": NO_TRUTHS,
    "limit": (*NO_WHOLES, 0, None),
    "batch_size": (*NO_WHOLES, 0, None, 1025),
    "concurrency": (*NO_WHOLES, 0, None, 257),
    "decoders": (*NO_WHOLES, 0, None),
    "cpus_per_worker": (*NO_NUMBERS, 0, 0.0, 1e-300, 1025, None),
    "gpus_per_worker": (*NO_NUMBERS, 1.5, 17, None),
    "labels": (*NO_LISTS, ("only one",), tuple(map(str, range(1001)))),
    "members": (*NO_LISTS, tuple(map(str, range(8)))),
}
"""For every setting what it must never be. Limits themselves are in tests/inference/test_config.py."""

CASES = [(name, value) for name, values in BAD.items() for value in values]


def test_every_setting_is_tried() -> None:
    assert set(BAD) == set(SETTINGS) == {field.name for field in fields(RunConfig)}


def label(value: object) -> str:
    return repr(value)[:30] if not isinstance(value, int) or abs(value) < 10**30 else "huge"


@pytest.mark.parametrize(("name", "value"), CASES, ids=label)
def test_a_bad_value_is_refused_by_its_settings_name(name: str, value: object) -> None:
    with pytest.raises(InvalidConfig, match=name) as refusal:
        RunConfig(**{name: value})  # type: ignore[arg-type]

    assert len(str(refusal.value)) < 400  # whatever was given, it is not said back at length


# -- a file of runs ----------------------------------------------------------------------------------------------------


def carried(config: Mapping[str, Any], store: Store) -> bytes:
    """A file with one run whose settings somebody has changed; `Store` is another home's."""
    run_id = seed.finished(store) if not store.summaries() else store.summaries()[0].id
    packed = zipfile.ZipFile(io.BytesIO(bundle.packed(store, [run_id])))
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for name in packed.namelist():
            document = json.loads(packed.read(name))
            if "config" in document:
                document["config"] |= config
            archive.writestr(name, json.dumps(document))
    return changed.getvalue()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("elsewhere"))


IN_JSON = [
    (name, list(value) if isinstance(value, tuple) else value)
    for name, value in CASES
    if not (isinstance(value, float) and not math.isfinite(value)) and not (name in LISTS and value == ["a", "b"])
]


@pytest.mark.parametrize(("name", "value"), IN_JSON, ids=label)
def test_a_bad_value_in_a_file_of_runs_is_refused_by_its_settings_name(
    elsewhere: Store, tmp_path: Path, name: str, value: object
) -> None:
    here = Store(tmp_path)

    with pytest.raises(InvalidBundle, match=name):
        bundle.read_in(here, carried({name: value}, elsewhere))

    assert here.summaries() == []


@pytest.mark.parametrize("name", [*NAMES, *LISTS])
def test_half_a_character_in_a_file_of_runs_is_refused(elsewhere: Store, tmp_path: Path, name: str) -> None:
    """No page could show it: what it sends to the browser is UTF-8."""
    value: object = ["\ud83d", "b"] if name in LISTS else "\ud83d"

    with pytest.raises(InvalidBundle, match="that is no text"):
        bundle.read_in(Store(tmp_path), carried({name: value}, elsewhere))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
def test_numbers_that_json_does_not_know_are_refused(elsewhere: Store, tmp_path: Path, number: str) -> None:
    packed = carried({"cpus_per_worker": 123456789}, elsewhere)
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive, zipfile.ZipFile(changed, "w") as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name).replace(b"123456789", number.encode()))

    with pytest.raises(InvalidBundle):
        bundle.read_in(Store(tmp_path), changed.getvalue())


# -- the command line --------------------------------------------------------------------------------------------------

NO_NUMBER_WRITTEN = ("", " ", "-1", "nan", "inf", "0x10", "1e400", "four", "4;5", "²", "9" * 5000, "None", "--")
IN_A_COMMAND = [
    *((name, text) for name in (*WHOLE, *NUMBERS) for text in NO_NUMBER_WRITTEN),
    *((name, "1.5") for name in WHOLE),
    *((name, text) for name in ("strategy", "combine", "dtype", "backend") for text in ("", "Fast", "actor\n", "0")),
    *((name, text) for name in NAMES for text in ("", " ", "\n", "x" * 5000)),
    *(("labels", text) for text in ("one", "a,a", f"a,{'x' * 5000}", ",".join(map(str, range(1001))))),
    *(("members", text) for text in ("digits,digits", ",".join(f"m{number}" for number in range(8)))),
    *(("repeats", text) for text in ("0", "-1", "21", "1.5", "nan", "many", "")),
]


@pytest.mark.parametrize(("name", "text"), IN_A_COMMAND, ids=label)
def test_a_bad_value_in_a_command_ends_with_one_line_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    monkeypatch.setenv("BATCHSCOPE_HOME", str(tmp_path))
    option = f"--{name.replace('_', '-')}"
    strategy = [] if name == "strategy" else ["--strategy", "actor"]

    status = exit_status(["run", *strategy, f"{option}={text}"])

    told = capsys.readouterr()
    assert status == 2 or name == "model"  # one that cannot be found is a failure like any other
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert name in line or option in line
    assert len(line) < 1000
    assert not list(tmp_path.glob("engine.*"))


def test_of_an_option_given_twice_the_last_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BATCHSCOPE_HOME", str(tmp_path))

    assert exit_status(["run", "--strategy", "actor", "--batch-size", "4", "--batch-size", "0"]) == 2
    assert "batch_size must be a whole number between 1 and 1024, got 0" in capsys.readouterr().err


def exit_status(arguments: list[str]) -> int:
    try:
        return cli.main(arguments)
    except SystemExit as end:  # as argparse ends
        return int(end.code or 0)


# -- an address --------------------------------------------------------------------------------------------------------

IN_AN_ADDRESS = [
    *((name, text) for name in (*WHOLE, *NUMBERS, "repeats") for text in NO_NUMBER_WRITTEN),
    *((name, "1.5") for name in (*WHOLE, "repeats")),
    *((name, text) for name in CHOICES for text in ("", "Fast", "actor\n", "<script>", "x" * 5000)),
    *((name, text) for name in NAMES for text in ("", " ", "\0", "x" * 5000)),
    *(("labels", text) for text in ("one", "a,a", "a,\0", f"a,{'x' * 5000}", ",".join(map(str, range(1001))))),
    *(("members", text) for text in ("digits,digits", ",".join(f"m{number}" for number in range(8)))),
    *(("channels_last", text) for text in ("", "1", "on", "truee", "None")),
]


@pytest.mark.parametrize(("name", "text"), IN_AN_ADDRESS, ids=label)
def test_a_bad_value_in_an_address_is_refused_by_its_settings_name(home: Path, name: str, text: str) -> None:
    with pytest.raises(InvalidConfig, match=name):
        address.parsed(name, text)


@pytest.fixture
def machine(store: Store) -> None:
    seed.engine(store)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("page", ["run", "ladder", "overview"])
def test_an_address_of_nothing_but_bad_values_is_told_of_each_and_the_page_works(
    open_page: Any, store: Store, page: str
) -> None:
    wrong = {"limit": "10⁹", "batch_size": "0x10", "model": "\0", "dataset": "", "sample_seed": "9" * 5000}
    wrong |= {"strategy": "<script>", "threads": "-1", "labels": "one", "gpus_per_worker": "nan", "repeats": "1e9"}

    app = open_page(page, wrong)

    assert not app.exception
    (warning,) = app.warning if page != "overview" else [None]
    if warning is not None:
        assert all(name.replace("_", "\\_") in warning.value for name in wrong)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("values", [["4", "0"], ["0", "4"], ["8", "16"], ["x", "y"]])
def test_a_parameter_given_twice_never_launches_another_run_than_is_shown(
    open_page: Any, store: Store, values: list[str]
) -> None:
    app = open_page("run", {"batch_size": values})

    assert not app.exception
    shown = app.select_slider(key="batch_size").value
    press(app, "Run ")
    assert store.active()[0].config.batch_size == shown


# -- what a browser sends ----------------------------------------------------------------------------------------------


def press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label.startswith(label)).click().run()


def forged(app: AppTest, key: str, value: str | list[str]) -> None:
    """Send what no widget would: the page's own controls are not what keeps a value within its range."""
    states = app._tree.get_widget_states()
    state = next(state for state in states.widgets if state.id == app.get_by_key(key).id)
    state.ClearField("value")
    if isinstance(value, str):
        state.string_value = value
    else:
        state.string_array_value.data.extend(value)
    app._run(states)


CHOSEN = ("batch_size", "limit", "threads", "cpus_per_worker", "strategy", "backend")
SENT = [
    *((name, sent) for name in CHOSEN for sent in (["1000000000"], [], ["NaN", "-1"])),
    *(("sample_seed", sent) for sent in ("-1", "x", "1e9", "9" * 5000, "drawn by lot, seed -1")),
    *(("labels", sent) for sent in ("one", "a,a", ",".join(map(str, range(1001))))),
    *(("members", sent) for sent in ("digits,digits", "/etc", ",".join(f"m{number}" for number in range(8)))),
    *((name, sent) for name in NAMES for sent in ("/etc", "\0", "x" * 5000, "../../etc")),
]


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("name", "sent"), SENT, ids=label)
def test_what_no_widget_would_send_is_refused_by_the_server(
    open_page: Any, store: Store, name: str, sent: str | list[str]
) -> None:
    app = open_page("run")
    usual = launched(app, store)

    forged(app, name, sent)

    assert not app.exception
    launches = [button for button in app.button if button.label.startswith("Run ")]
    if isinstance(sent, str):  # typed by hand it would be refused, too
        assert launches == []
        assert app.error
    else:  # nothing that is offered: what was chosen before, or by default, stays
        assert not launches or launched(app, store) == usual


def launched(app: AppTest, store: Store) -> RunConfig:
    press(app, "Run ")
    return store.active()[-1].config
