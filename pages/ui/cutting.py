"""Finished charts cut off at a second, for showing a recording as it came along; knows Altair and no Streamlit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import altair as alt
import pyarrow as pa

from pages.ui import format
from pages.ui.charts import Figure


def until(figure: Figure, at_s: float, *, title: str, lines: Mapping[str, float] | None = None) -> Figure:
    """What of a finished figure had been measured by a second; its axes, lanes and colours stay where they are.

    `lines` has seconds of their own for lines, by the names that their rows bear; infinite for all of a line.
    """
    if figure.chart is None:
        return replace(figure, title=title)
    described = figure.alt if math.isinf(at_s) else f"{title}. A recording, shown as of {format.seconds(at_s)}."
    return replace(figure, chart=_chart_until(figure.chart, at_s, lines or {}), title=title, alt=described)


def _chart_until(chart: Any, at_s: float, lines: Mapping[str, float]) -> Any:
    cut = chart.copy(deep=False)
    if isinstance(chart, alt.LayerChart):
        cut.layer = [_chart_until(part, at_s, lines) for part in chart.layer]
    if isinstance(chart.data, alt.Data):
        rows = chart.data["values"]
        seconds = [lines.get(row.get("run", row.get("text")), at_s) for row in rows]
        kept = [_row_until(row, second) for row, second in zip(rows, seconds, strict=True) if _begun(row, second)]
        # Altair checks every value of plain rows against its schema, which takes longer than all else; not of a table.
        cut.data = pa.Table.from_pylist(kept, schema=pa.Table.from_pylist(rows).schema)
    return cut


def _begun(row: dict[str, Any], at_s: float) -> bool:
    """Whether a row of a chart is about something before this second: a point in time, or a stretch of it."""
    return bool(row["start_s"] < at_s if "start_s" in row else row.get("time_s", 0.0) <= at_s)


def _row_until(row: dict[str, Any], at_s: float) -> dict[str, Any]:
    if row.get("end_s", at_s) <= at_s:
        return row
    lasts = format.seconds(at_s - row["start_s"])
    return row | {"end_s": at_s, "lasts": f"{lasts} so far", "images": format.UNKNOWN}
