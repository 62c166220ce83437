"""How numbers, moments and foreign text stand on a page: the wording of `inference`, made safe for Markdown."""

from __future__ import annotations

import re
import unicodedata

from inference import wording
from inference.wording import (
    UNKNOWN,
    bytes_,
    count,
    lines_,
    milliseconds,
    moment,
    percent,
    plural,
    rate,
    rate_number,
    ratio,
    ratio_number,
    seconds,
    sentence_case,
    significant,
)

__all__ = [
    "UNKNOWN",
    "bytes_",
    "count",
    "in_badge",
    "lines_",
    "literal",
    "milliseconds",
    "moment",
    "percent",
    "plain",
    "plural",
    "rate",
    "rate_number",
    "ratio",
    "ratio_number",
    "seconds",
    "sentence_case",
    "shortened",
    "significant",
]

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_JOINER = "\u2060"
# Streamlit replaces emoji and icon shortcodes, arrows and addresses in the text that is left after Markdown's
# escapes are resolved, so a backslash cannot stop it; an invisible joiner inside the pattern does.
_REPLACED_LATER = re.compile(r":(?=\S)|[<>~-](?=[<>=-])|(?<=www)(?=\.)|@(?=\S)")


def plain(text: object) -> str:
    """Foreign text as one line; what is invisible or would reorder its surroundings is spelled out."""
    return _isolated(wording.plain(text))


def literal(text: object) -> str:
    """Foreign text for a place that interprets Markdown: shown as it stands, it loads and links nothing."""
    joined = _REPLACED_LATER.sub(lambda found: found.group() + _JOINER, plain(text))
    return _PUNCTUATION.sub(r"\\\1", joined)


def in_badge(text: object) -> str:
    """Foreign text for `st.badge`, which escapes brackets by itself (1.67)."""
    return literal(text).replace("\\[", "[").replace("\\]", "]")


def shortened(text: object, limit: int = 60) -> str:
    """`plain` text cut in the middle, so that a long file name keeps its start and its ending."""
    return _isolated(wording.shortened(text, limit))


def _isolated(shown: str) -> str:
    """Text that is written from right to left, kept from turning the words around it."""
    if "\u2068" not in shown and any(unicodedata.bidirectional(character) in ("R", "AL") for character in shown):
        return f"\u2068{shown}\u2069"
    return shown
