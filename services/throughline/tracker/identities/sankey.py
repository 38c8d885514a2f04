"""Flows as an SVG: cameras where people left on the left, cameras where they came on the right, and bands between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from throughline.domain.time import NS_PER_SECOND
from throughline.tracker.identities.flows import Flow

# The palette of Okabe and Ito: told apart with every kind of colour vision.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d31", "#7f7f7f")
_WIDTH, _BAR, _LABEL = 960, 14, 170
_GAP, _LEAST, _ROOM = 14.0, 3.0, 360.0
_LONGEST_NAME = 24


def colour_of(cameras: Sequence[str]) -> dict[str, str]:
    """A colour for each camera, the same on both sides."""
    return {camera: COLOURS[place % len(COLOURS)] for place, camera in enumerate(sorted(set(cameras)))}


def sankey_svg(flows: Sequence[Flow], colours: Mapping[str, str]) -> str:
    """The drawing; every name in it is escaped."""
    total = sum(flow.count for flow in flows)
    starts, ends = sorted({flow.start for flow in flows}), sorted({flow.end for flow in flows})
    sums = {("start", name): sum(flow.count for flow in flows if flow.start == name) for name in starts}
    sums |= {("end", name): sum(flow.count for flow in flows if flow.end == name) for name in ends}
    scale = _ROOM / max(1, total)
    heights = {node: max(_LEAST, count * scale) for node, count in sums.items()}
    tops = _stacked([("start", name) for name in starts], heights) | _stacked([("end", name) for name in ends], heights)
    height = 24 + max((tops[node] + heights[node] for node in tops), default=0)
    left, right = _LABEL, _WIDTH - _LABEL - _BAR
    parts = []
    used = dict.fromkeys(sums, 0.0)
    for flow in sorted(flows, key=lambda flow: (flow.start, flow.end)):
        node, other = ("start", flow.start), ("end", flow.end)
        thick = max(1.0, flow.count * scale)
        y, z = (tops[each] + used[each] + thick / 2 for each in (node, other))
        used[node] += thick
        used[other] += thick
        middle = (left + _BAR + right) / 2
        title = f"{flow.start} → {flow.end}: {flow.count}, median {flow.median_ns / NS_PER_SECOND:.1f} s, confidence {flow.confidence:.2f}"
        parts.append(
            f'<path d="M{left + _BAR} {y:.1f} C{middle} {y:.1f} {middle} {z:.1f} {right} {z:.1f}" fill="none" '
            f'stroke="{colours[flow.start]}" stroke-opacity="0.4" stroke-width="{thick:.1f}"><title>{escape(title)}</title></path>'
        )
    for (side, name), top in tops.items():
        x = left if side == "start" else right
        anchor, at = ("end", left - 8) if side == "start" else ("start", right + _BAR + 8)
        middle = top + heights[side, name] / 2
        parts.append(
            f'<rect x="{x}" y="{top:.1f}" width="{_BAR}" height="{heights[side, name]:.1f}" rx="2" fill="{colours[name]}"/>'
            f'<text x="{at}" y="{middle:.1f}" dy="0.35em" text-anchor="{anchor}">{escape(_short(name))} '
            f'<tspan class="count">{sums[side, name]}</tspan></text>'
        )
    return f'<svg class="sankey" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="Flows between cameras">{"".join(parts)}</svg>'


def _stacked(
    nodes: Sequence[tuple[str, str]], heights: Mapping[tuple[str, str], float]
) -> dict[tuple[str, str], float]:
    tops, y = {}, 12.0
    for node in nodes:
        tops[node] = y
        y += heights[node] + _GAP
    return tops


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
