"""How a run's images were cut: what was read together above what the model got together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from inference.lessons import Cuts
from pages.ui import format
from pages.ui.charts import FIT_WIDTH, PHASE_PAINT, Figure, colour_of, readable, tooltips

MOST_IMAGES = 200
"""Of more images than this, the first are drawn: pieces would be too narrow to tell apart."""
_ROW_HEIGHT = 38


def blocks_chart(cuts: Mapping[str, Cuts], *, strategy: str) -> Figure:
    """Two rows along the images for each run label: its blocks as they were read, its batches as they were begun."""
    title = "How the images were cut"
    drawn = {format.plain(label): cut for label, cut in cuts.items() if cut.blocks and cut.batches}
    if not drawn:
        return Figure(chart=None, title=title, alt="No block and no batch was recorded.")
    rows = [
        row
        for label, cut in drawn.items()
        for kind, sizes in (("blocks", cut.blocks), ("batches", cut.batches))
        for row in _pieces(label, kind, sizes)
    ]
    fills, edges = zip(PHASE_PAINT["read"], (colour_of(strategy), colour_of(strategy)), strict=True)
    longest = max(sum(sizes) for cut in drawn.values() for sizes in (cut.blocks, cut.batches))
    kinds = ["blocks", "batches"]
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_rect(strokeWidth=1.5, fillOpacity=0.55, height={"band": 0.62})
        .encode(
            x=alt.X(
                "first:Q", title="images, in order", scale=alt.Scale(domain=[0, min(MOST_IMAGES, longest)], nice=False)
            ),
            x2="last:Q",
            y=alt.Y("row:N", title=None, sort=None, axis=alt.Axis(labelFontSize=13, labelLimit=180)),
            fill=alt.Fill("kind:N", legend=None, scale=alt.Scale(domain=kinds, range=fills)),
            stroke=alt.Stroke("kind:N", legend=None, scale=alt.Scale(domain=kinds, range=edges)),
            tooltip=tooltips(name="piece", size="images"),
        )
        .properties(height=2 * len(drawn) * _ROW_HEIGHT, autosize=FIT_WIDTH)
    )
    finding = "; ".join(f"{label}: {_counts_text(cut)}" for label, cut in drawn.items())
    in_full = "; ".join(f"{label}: {_cut_text(cut)}" for label, cut in drawn.items())
    return Figure(
        chart=readable(chart),
        title=format.sentence_case(finding),
        alt=f"Rows of bars along the images, blocks above batches. {in_full}.",
        note=f"The first {MOST_IMAGES} images are drawn." if longest > MOST_IMAGES else "",
    )


def _counts_text(cut: Cuts) -> str:
    return f"{format.count(len(cut.blocks), 'block')}, {format.count(len(cut.batches), 'batch')}"


def _cut_text(cut: Cuts) -> str:
    blocks, batches = format.count(len(cut.blocks), "block"), format.count(len(cut.batches), "batch")
    return f"{blocks} {sizes_text(cut.blocks)}, {batches} {sizes_text(cut.batches)}"


def sizes_text(sizes: Sequence[int]) -> str:
    """`of 16 images`, or `of 16 images, the rest smaller`, where most have one size."""
    usual, times = Counter(sizes).most_common(1)[0]
    rest = {size for size in sizes if size != usual}
    if not rest:
        return f"of {format.count(usual, 'image')}"
    if times > len(sizes) / 2:
        return f"of {format.count(usual, 'image')} ({len(sizes) - times:,} of another size)"
    return f"of {min(sizes):,} to {format.count(max(sizes), 'image')}"


def _pieces(label: str, kind: str, sizes: Sequence[int]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    first = 0
    for number, size in enumerate(sizes, start=1):
        if first >= MOST_IMAGES:
            break
        last = min(MOST_IMAGES, first + size)
        place = {"kind": kind, "row": f"{kind}, {label}", "first": first, "last": last}
        rows.append(place | {"name": f"{number:,} of {len(sizes):,} {kind}", "size": f"{size:,}"})
        first += size
    return rows
