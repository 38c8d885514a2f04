"""The report: one HTML file with everything in it, no scripts, nothing from elsewhere."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import numpy as np

from throughline.domain.time import NS_PER_SECOND
from throughline.tracker.identities.flows import Flow
from throughline.tracker.identities.outputs import Outcome
from throughline.tracker.identities.sankey import colour_of, sankey_svg

MOST_SHOWN = 60
"""Identities with pictures on the page; all others are in the files beside it."""
_PER_IDENTITY = 8
_MOST_SIGHTINGS = 12

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2024;--faded:#667079;--paper:#fff;--card:#f5f6f8;--line:#dfe3e8}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--faded:#9aa4ad;--paper:#15181c;--card:#1e2227;--line:#343a41}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:40px 0 12px}
p.note{color:var(--faded);margin:4px 0 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-top:20px}
.card{background:var(--card);border-radius:10px;padding:14px 16px}
.card b{display:block;font-size:26px;line-height:1.2}.card span{color:var(--faded)}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:6px 10px;border-bottom:1px solid var(--line)}
th{color:var(--faded);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.scroll{overflow-x:auto}
svg.sankey{width:100%;height:auto;font:13px system-ui,sans-serif}svg.sankey text{fill:var(--ink)}svg.sankey .count{fill:var(--faded)}
.people{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:16px}
.person{background:var(--card);border-radius:10px;padding:14px 16px;min-width:0}.person h3{margin:0;font-size:16px}
.person .pictures{display:flex;flex-wrap:wrap;gap:6px;margin:10px 0}
.person img{height:104px;max-width:100%;border-radius:6px;display:block}.person ul{margin:0;padding:0;list-style:none;font-size:13px}
.person li{display:flex;gap:8px;align-items:baseline}.dot{flex:none;width:9px;height:9px;border-radius:50%}
.person time,.person small{color:var(--faded);margin-left:auto;white-space:nowrap}ul.warn{padding-left:18px}
"""


def write_report(path: Path, found: Outcome, pictures: Mapping[int, Sequence[Path]]) -> None:
    """Write the page. `pictures`: files of each identity, the best first."""
    path.write_text(_page(found, pictures), encoding="utf-8")


def _page(found: Outcome, pictures: Mapping[int, Sequence[Path]]) -> str:
    tracks = found.tracks
    colours = colour_of([video.camera for video in tracks.videos])
    seen = _cameras_of(found)
    several = sum(len(cameras) > 1 for cameras in seen.values())
    cards = [
        (found.identity_count, "identities"),
        (several, "of them seen by several cameras"),
        (len(tracks), "tracks"),
        (len(tracks.videos), "videos"),
        (len(colours), "cameras"),
    ]
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>Identities</title><style>{_STYLE}</style></head><body><main><h1>Identities over {len(tracks.videos)} videos</h1>",
            f'<p class="note">{escape(_settings(found))}</p>',
            '<div class="cards">',
            *(f'<div class="card"><b>{count:,}</b><span>{what}</span></div>' for count, what in cards),
            "</div>",
            _warnings(found),
            _classes(found),
            _flows(found.flows, colours),
            _videos(found),
            _people(found, pictures, seen, colours),
            "</main></body></html>\n",
        )
    )


def _settings(found: Outcome) -> str:
    identities, associate = found.identities, found.made.config.associate
    scale = "P(same person) at equal priors" if identities.is_calibrated else "cosine"
    shift = "; what all tracks of a camera share was taken out" if identities.shift_removed else ""
    recall = identities.recall
    compared = (
        "every track with every other" if recall.index == "flat" else f"by {recall.index}, recall {recall.found:.3f}"
    )
    return (
        f"Model {found.made.card.name}. Least similarity {associate.min_sim:g} ({scale}){shift}. "
        f"Tracks compared: {compared}."
    )


def _warnings(found: Outcome) -> str:
    if not found.made.incidents:
        return ""
    lines = "".join(f"<li><b>{escape(each.subject)}</b>: {escape(each.message)}</li>" for each in found.made.incidents)
    return f'<h2>To be known</h2><ul class="warn">{lines}</ul>'


def _classes(found: Outcome) -> str:
    tracks = found.tracks
    counts = np.bincount(tracks.classes, minlength=len(tracks.class_names)).tolist()
    unique = found.unique_by_class
    rows = [(name, unique[name], count) for name, count in zip(tracks.class_names, counts, strict=True)]
    return "<h2>By class</h2>" + _table(("class", "identities", "tracks"), rows)


def _videos(found: Outcome) -> str:
    tracks = found.tracks
    rows = []
    for place, video in enumerate(tracks.videos):
        own = tracks.video == place
        rows.append((video.name, video.camera, int(own.sum()), len(np.unique(found.ids[own]))))
    return "<h2>By video</h2>" + _table(("video", "camera", "tracks", "identities"), rows)


def _flows(flows: Sequence[Flow], colours: Mapping[str, str]) -> str:
    if not flows:
        return '<h2>Ways between cameras</h2><p class="note">Nobody was seen by two cameras one after the other.</p>'
    rows = [
        (flow.start, flow.end, flow.count, f"{flow.median_ns / NS_PER_SECOND:.1f} s", f"{flow.confidence:.2f}")
        for flow in flows
    ]
    names = ("from", "to", "count", "median transit", "confidence")
    return f"<h2>Ways between cameras</h2>{sankey_svg(flows, colours)}{_table(names, rows)}"


def _table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = list(rows)
    numeric = [place > 0 and all(str(line[place])[:1].isdigit() for line in lines) for place in range(len(names))]

    def cells(tag: str, values: Sequence[object]) -> str:
        shown = (f"{value:,}" if isinstance(value, int) else escape(str(value)) for value in values)
        return "".join(
            f"<{tag}{' class=n' if is_number else ''}>{text}</{tag}>"
            for text, is_number in zip(shown, numeric, strict=True)
        )

    body = "".join(f"<tr>{cells('td', line)}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{cells("th", names)}</tr></thead><tbody>{body}</tbody></table></div>'


def _cameras_of(found: Outcome) -> dict[int, set[str]]:
    seen: defaultdict[int, set[str]] = defaultdict(set)
    for identity, camera in zip(found.ids.tolist(), found.tracks.cameras, strict=True):
        seen[identity].add(camera)
    return seen


def _people(
    found: Outcome, pictures: Mapping[int, Sequence[Path]], seen: Mapping[int, set[str]], colours: Mapping[str, str]
) -> str:
    ids, counts = np.unique(found.ids, return_counts=True)
    ranked = sorted(
        zip(ids.tolist(), counts.tolist(), strict=True), key=lambda each: (-len(seen[each[0]]), -each[1], each[0])
    )
    shown = ranked[:MOST_SHOWN]
    rows_of: defaultdict[int, list[int]] = defaultdict(list)
    for row in np.flatnonzero(np.isin(found.ids, [identity for identity, _ in shown])).tolist():
        rows_of[int(found.ids[row])].append(row)
    note = (
        f'<p class="note">The {len(shown)} seen by the most cameras; all {len(ranked):,} are in global_id_map.csv.</p>'
        if len(ranked) > len(shown)
        else ""
    )
    people = "".join(
        _person(found, identity, rows_of[identity], pictures.get(identity, ()), colours) for identity, _ in shown
    )
    return f'<h2>Identities</h2>{note}<div class="people">{people}</div>'


def _person(
    found: Outcome, identity: int, rows: Sequence[int], pictures: Sequence[Path], colours: Mapping[str, str]
) -> str:
    tracks = found.tracks
    rows = sorted(rows, key=lambda row: (int(tracks.starts_ns[row]), row))
    images = "".join(
        f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}">'
        for path in pictures[:_PER_IDENTITY]
    )
    sightings = "".join(_sighting(found, row, colours) for row in rows[:_MOST_SIGHTINGS])
    more = f"<li><small>and {len(rows) - _MOST_SIGHTINGS} more</small></li>" if len(rows) > _MOST_SIGHTINGS else ""
    kind = escape(tracks.class_names[int(tracks.classes[rows[0]])])
    pictures_of = f'<div class="pictures">{images}</div>' if images else ""
    return (
        f'<section class="person"><h3>#{identity} <small>{kind}, {len(rows)} track{"s" if len(rows) > 1 else ""}</small></h3>'
        f"{pictures_of}<ul>{sightings}{more}</ul></section>"
    )


def _sighting(found: Outcome, row: int, colours: Mapping[str, str]) -> str:
    tracks = found.tracks
    video = tracks.videos[int(tracks.video[row])]
    start, seconds = int(tracks.starts_ns[row]), (int(tracks.ends_ns[row]) - int(tracks.starts_ns[row])) / NS_PER_SECOND
    return (
        f'<li><span class="dot" style="background:{colours[video.camera]}"></span>{escape(video.name)}'
        f"<time>{_moment(start, is_utc=video.is_timed)}, {seconds:.1f} s</time></li>"
    )


def _moment(ns: int, *, is_utc: bool) -> str:
    if is_utc:
        return f"{datetime.fromtimestamp(ns // NS_PER_SECOND, UTC):%Y-%m-%d %H:%M:%S}"
    minutes, seconds = divmod(ns // NS_PER_SECOND, 60)
    return f"{minutes}:{seconds:02d}"
