"""How numbers, moments and foreign text are written."""

from __future__ import annotations

import datetime
import re

import pytest

from pages.ui import format


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (28.41, "28.4 images/s"),
        (4.1, "4.10 images/s"),
        (9.996, "10.0 images/s"),
        (1284, "1,280 images/s"),
        (0.03456, "0.0346 images/s"),
        (0, "0 images/s"),
    ],
)
def test_rates_have_three_significant_digits(value: float, text: str) -> None:
    assert format.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0 s"),
        (0.001, "<0.01 s"),
        (0.314, "0.31 s"),
        (0.996, "1.0 s"),
        (4.44, "4.4 s"),
        (99.94, "99.9 s"),
        (99.96, "100 s"),
        (1234.5, "1,234 s"),
    ],
)
def test_seconds_have_one_decimal_under_100(value: float, text: str) -> None:
    assert format.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(6.84, "6.8 ×"), (1.04, "1.04 ×"), (0.147, "0.15 ×"), (1.996, "2.0 ×"), (120.4, "120 ×")]
)
def test_ratios_near_one_have_the_decimals_that_decide(value: float, text: str) -> None:
    assert format.ratio(value) == text


def test_both_ends_of_an_interval_have_the_same_decimals() -> None:
    low, high = 1.724, 2.139
    assert format.ratio_number(low, beside=low) == "1.72"
    assert format.ratio_number(high, beside=low) == "2.14"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 %"), (0.004, "<1 %"), (0.614, "61 %"), (0.996, ">99 %"), (1, "100 %")]
)
def test_a_share_claims_nothing_or_everything_only_where_it_is(value: float, text: str) -> None:
    assert format.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(512, "512 B"), (1024, "1.0 KiB"), (102 * 2**20, "102 MiB"), (1.5 * 2**30, "1.5 GiB"), (23 * 2**30, "23 GiB")],
)
def test_sizes_are_in_binary_units(value: float, text: str) -> None:
    assert format.bytes_(value) == text


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(1, "image", "1 image"), (0, "image", "0 images"), (2, "batch", "2 batches"), (1200, "run", "1,200 runs")],
)
def test_counts_agree_with_their_noun(number: int, noun: str, text: str) -> None:
    assert format.count(number, noun) == text


def test_a_moment_is_a_day_and_a_minute() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=1))
    assert format.moment(1763820600, zone) == "22 Nov 2025, 15:10"


@pytest.mark.parametrize(
    "written",
    [format.rate, format.rate_number, format.seconds, format.ratio, format.percent, format.bytes_, format.moment],
)
@pytest.mark.parametrize("unknown", [None, float("nan"), float("inf")])
def test_an_unknown_is_a_dash(written, unknown) -> None:  # type: ignore[no-untyped-def]
    assert written(unknown) == format.UNKNOWN


HOSTILE = (
    ":red[x] ![](http://a.example/b.png) [l](https://c.example) $x^2$ `code` <script>alert(1)</script> "
    ":smile: :material/home: -> -- <= www.d.example e@f.example **bold** # title | a & b ~c~ \\ ::d"
)


def test_literal_text_keeps_every_visible_character() -> None:
    shown = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", format.literal(HOSTILE)).replace("\u2060", "")
    assert shown == HOSTILE


def test_literal_text_escapes_every_mark_of_markdown() -> None:
    escaped = format.literal(HOSTILE)
    assert not re.search(r"(?<!\\)[`*_{}\[\]()<>#+\-!|~$:&]", escaped.replace("\\\\", ""))


@pytest.mark.parametrize("pattern", [r":[\w+-]+:", r"(^|\s)->(\s|$)", r"(^|\s)--(\s|$)", r"https?://", r"www\."])
def test_nothing_is_left_that_is_replaced_after_the_escapes(pattern: str) -> None:
    after_escapes = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", format.literal(HOSTILE))
    assert not re.search(pattern, after_escapes)


def test_characters_that_turn_the_text_around_are_spelled_out() -> None:
    assert format.plain("evil\u202egpj.exe") == "evil⟨U+202E⟩gpj.exe"


def test_control_characters_and_broken_file_names_are_spelled_out() -> None:
    assert format.plain("a\x00b\udc80") == "a⟨U+0000⟩b⟨U+DC80⟩"
    format.literal("\udc80").encode()


def test_lines_become_one() -> None:
    assert format.plain("  a\n\n    b\tc ") == "a b c"


def test_right_to_left_names_do_not_turn_the_words_around_them() -> None:
    assert format.plain("שלום.jpg") == "\u2068שלום.jpg\u2069"


def test_emoji_stay_whole() -> None:
    assert format.plain("👩‍🔬❤️") == "👩‍🔬❤️"


def test_a_long_name_keeps_its_start_and_its_ending() -> None:
    short = format.shortened("a" * 200 + "_0001.jpg", 30)
    assert len(short) == 30
    assert short.startswith("aaa")
    assert short.endswith("_0001.jpg")


def test_milliseconds_have_three_significant_digits() -> None:
    assert format.milliseconds(0.0123456) == "12.3 ms"
    assert format.milliseconds(None) == "–"


def test_a_sentence_begins_with_a_capital_and_keeps_all_others() -> None:
    assert format.sentence_case("load once, then OpenVINO") == "Load once, then OpenVINO"


def test_a_name_in_a_sentence_stays_isolated_when_the_sentence_is_made_literal() -> None:
    sentence = f"{format.shortened('שלום.jpg')} on {format.plain('مرحبا')}"

    assert format.literal(sentence).replace("\\", "") == "\u2068שלום.jpg\u2069 on \u2068مرحبا\u2069"


def test_an_isolate_that_is_not_closed_is_spelled_out() -> None:
    assert [format.plain(text) for text in ("a\u2068b", "a\u2069b\u2068c")] == ["a⟨U+2068⟩b", "a⟨U+2069⟩b⟨U+2068⟩c"]
    cut = format.shortened(f"{'a' * 50}\u2068{'b' * 50}\u2069", 30)
    assert cut.startswith("aaa")
    assert cut.endswith("bbb⟨U+2069⟩")


def test_a_badge_is_given_brackets_that_streamlit_escapes() -> None:
    assert format.in_badge(":red[x]") == ":\u2060red[x]".replace(":", "\\:")


def test_lines_keep_their_spaces_and_spell_out_what_is_invisible() -> None:
    assert format.lines_("a  b\n\tc\x1b[31m\u202ed") == "a  b\n        c⟨U+001B⟩[31m⟨U+202E⟩d"
