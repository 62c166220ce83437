"""Numbers, moments and foreign text as a person wants to read them; an unknown is a dash, never 0."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Callable
from datetime import datetime, tzinfo

UNKNOWN = "–"

_BINARY_UNITS = ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))
_SPACES = re.compile(r"\s+")
_KEPT_INVISIBLE = ("\u200d", "\ufe0f")  # they build emoji
_ISOLATES = ("\u2068", "\u2069")
_ISOLATE = re.compile("[\u2068\u2069]")


def significant(number: float, digits: int = 3) -> str:
    """A number with so many significant digits and no exponent, such as `4.10` or `1,280`."""
    if number == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(number)))
    rounded = round(number, places)
    if rounded:  # 9.996 becomes 10.00: one digit has moved in front of the point
        places = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, places)}f}"


def rate(images_per_s: float | None) -> str:
    """Images per second with three significant digits, such as `28.4 images/s`."""
    return _with_unit(images_per_s, significant, "images/s")


def rate_number(images_per_s: float | None) -> str:
    """The number of `rate` alone, for places whose label has the unit."""
    return UNKNOWN if images_per_s is None or not math.isfinite(images_per_s) else significant(images_per_s)


def seconds(duration_s: float | None) -> str:
    """Seconds with one decimal under 100, two under 1, none from 100 on."""
    return _with_unit(duration_s, _seconds_number, "s")


def milliseconds(duration_s: float | None) -> str:
    """A short time in milliseconds with three significant digits, such as `12.3 ms`."""
    return _with_unit(duration_s, lambda s: significant(1000 * s), "ms")


def ratio(times: float | None) -> str:
    """How many times, such as `6.8 ×`; with two decimals under 2, where they decide."""
    return UNKNOWN if times is None or not math.isfinite(times) else f"{ratio_number(times)} ×"


def ratio_number(times: float, *, beside: float | None = None) -> str:
    """The number of `ratio` alone, with the decimals that suit the one `beside` it: `1.72 to 2.10`."""
    scale = times if beside is None else beside
    if round(scale, 2) < 2:
        return f"{times:.2f}"
    return f"{times:.1f}" if round(scale, 1) < 100 else f"{times:,.0f}"


def percent(share: float | None) -> str:
    """A share of 0 to 1 without decimals; what is not quite nothing or everything says so."""
    if share is None or not math.isfinite(share):
        return UNKNOWN
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 <= share < 1:
        return ">99 %"
    return f"{share * 100:.0f} %"


def bytes_(size_bytes: float | None) -> str:
    """A size in KiB, MiB, GiB or TiB, with one decimal under 10."""
    if size_bytes is None or not math.isfinite(size_bytes):
        return UNKNOWN
    for unit, name in _BINARY_UNITS:
        amount = size_bytes / unit
        if amount >= 1:
            return f"{amount:.1f} {name}" if amount < 9.95 else f"{amount:,.0f} {name}"
    return f"{size_bytes:.0f} B"


def count(number: int | None, noun: str) -> str:
    """`1 image`, `100 images`, `2 batches`."""
    if number is None:
        return UNKNOWN
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The regular plural of an English noun."""
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def moment(
    epoch_s: float | None, timezone: tzinfo | None = None, *, with_zone: bool = False, with_seconds: bool = False
) -> str:
    """A point in time, such as `22 Nov 2025, 14:10`, in the given zone or this machine's, which can be named."""
    if epoch_s is None or not math.isfinite(epoch_s):
        return UNKNOWN
    when = datetime.fromtimestamp(epoch_s, timezone) if timezone else datetime.fromtimestamp(epoch_s).astimezone()
    return f"{when.day} {when:%b %Y, %H:%M}{f'{when::%S}' if with_seconds else ''}{f'{when: %Z}' if with_zone else ''}"


def plain(text: object) -> str:
    """Foreign text as one line; what is invisible or would reorder its surroundings is spelled out.

    Text that is isolated from its surroundings stays so, as in a sentence of several names.
    """
    line = _SPACES.sub(" ", str(text)).strip()
    return _spelled_out(line, (*_KEPT_INVISIBLE, *_ISOLATES) if _is_closed(line) else _KEPT_INVISIBLE)


def lines_(text: str) -> str:
    """Foreign text of several lines, with its spaces as they are, and what is invisible spelled out."""
    return "\n".join(_spelled_out(line, _KEPT_INVISIBLE) for line in text.expandtabs().splitlines())


def shortened(text: object, limit: int = 60) -> str:
    """`plain` text cut in the middle, so that a long file name keeps its start and its ending."""
    shown = plain(text)
    if len(shown) <= limit:
        return shown
    tail = limit // 3
    return plain(f"{shown[: limit - tail - 1]}…{shown[-tail:]}")


def markup(text: object) -> str:
    """Foreign text as HTML that shows it literally and keeps its writing direction to itself."""
    return f"<bdi>{html.escape(plain(text))}</bdi>"


def sentence_case(text: str) -> str:
    """The text with a capital at its start, and all else as it is."""
    return text[:1].upper() + text[1:]


def _is_closed(text: str) -> bool:
    """Whether every isolate that is opened in a text is closed in it."""
    depth = 0
    for mark in _ISOLATE.findall(text):
        depth += 1 if mark == _ISOLATES[0] else -1
        if depth < 0:
            return False
    return depth == 0


def _spelled_out(line: str, kept: tuple[str, ...]) -> str:
    return "".join(_visible(character, kept) for character in line)


def _visible(character: str, kept: tuple[str, ...]) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") and character not in kept:
        return f"⟨U+{ord(character):04X}⟩"
    return character


def _with_unit(number: float | None, written: Callable[[float], str], unit: str) -> str:
    return UNKNOWN if number is None or not math.isfinite(number) else f"{written(number)} {unit}"


def _seconds_number(duration_s: float) -> str:
    if 0 < abs(duration_s) < 0.005:
        return "<0.01"
    if round(duration_s, 2) < 1:
        return f"{duration_s:.2f}" if duration_s else "0.0"
    return f"{duration_s:.1f}" if round(duration_s, 1) < 100 else f"{duration_s:,.0f}"
