"""Acceptance: what stands below ROOT is looked at anew, from the files alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput, NotFound
from throughline.tracker.identities.config import ReidConfig
from throughline.tracker.identities.constraints import Constraints, Rules
from throughline.tracker.identities.history import read_map
from throughline.tracker.identities.layout import MAP_FILE, MERGED_FILE, find_videos, read_footage
from throughline.tracker.identities.publish import finish_publishing
from throughline.tracker.identities.run import REPLACED, read_topology, rules_of
from throughline.tracker.identities.spans import video_tracks
from throughline.tracker.identities.tracks import Tracks, gathered

_NAMED = 3
_MOST_ALIKE = 0.5
"""Share of pairs who are certainly different people that may reach `min_sim`; beyond it the model does not tell people apart there."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be right, and what was found."""

    what: str
    passed: bool
    found: str


def check_root(root: Path, config: ReidConfig) -> list[Check]:
    """Everything that has to hold of the identities below `root`. Raise NotFound where there are none."""
    finish_publishing(root, REPLACED)
    if not (root / MAP_FILE).is_file():
        raise NotFound(f"{root / MAP_FILE} is missing; run `throughline identify {root}` first")
    given = read_map(root)
    class_filter = config.embed.class_filter
    tracks = gathered([video_tracks(video, read_footage(video), class_filter, {}, 0) for video in find_videos(root)])
    there = [key in given for key in tracks.keys]
    missing = [key for key, is_there in zip(tracks.keys, there, strict=True) if not is_there]
    gone = sorted(given.keys() - set(tracks.keys))
    complete = Check(
        "every track has an identity, and no other",
        not missing and not gone,
        f"{len(tracks)} tracks" + _named(", without one", missing) + _named(", not in any tracks.csv", gone),
    )
    if missing:
        return [complete]
    ids = np.array([given[key] for key in tracks.keys], np.int64)
    return [complete, *_constraints(tracks, ids, config), *_counts(tracks, ids, config), _analytics(root, ids)]


def _named(what: str, keys: Sequence[tuple[str, int]]) -> str:
    some = ", ".join(f"{video} {number}" for video, number in keys[:_NAMED])
    return f"{what}: {some}{' and more' if len(keys) > _NAMED else ''}" if keys else ""


def _constraints(tracks: Tracks, ids: NDArray[np.int64], config: ReidConfig) -> Iterator[Check]:
    rules, _ = rules_of(config, read_topology(config), tracks)
    loose = Rules(same_class_only=False, most_overlap_ns=2**62)
    if rules.same_class_only:
        yield _kept("no identity has tracks of several classes", tracks, ids, replace(loose, same_class_only=True))
    same_video = replace(
        loose, allow_merge_same_video=rules.allow_merge_same_video, most_overlap_ns=rules.most_overlap_ns
    )
    limit = (
        f"more than {config.associate.max_same_video_time_overlap:g} s" if rules.allow_merge_same_video else "at all"
    )
    what = "twice in a video at one time" if rules.allow_merge_same_video else "twice in a video"
    yield _kept(f"no identity is there {what}, {limit}", tracks, ids, same_video)
    if rules.gate is not None:
        yield _kept("no identity goes faster than the topology allows", tracks, ids, replace(loose, gate=rules.gate))


def _kept(what: str, tracks: Tracks, ids: NDArray[np.int64], rules: Rules) -> Check:
    constraints = Constraints(tracks, rules)
    order = np.argsort(ids, kind="stable")
    wrong: list[tuple[int, int, int]] = []
    for rows in np.split(order, np.flatnonzero(np.diff(ids[order])) + 1):
        if len(rows) > 1:
            pairs = np.argwhere(np.triu(constraints.forbidden(rows, rows), 1))
            wrong += [(int(ids[rows[0]]), int(rows[a]), int(rows[b])) for a, b in pairs.tolist()]
    keys = tracks.keys
    some = "; ".join(f"#{identity}: {_key(keys[a])} and {_key(keys[b])}" for identity, a, b in wrong[:_NAMED])
    return Check(what, not wrong, f"{len(wrong)} pairs of tracks, such as {some}" if wrong else "none")


def _key(key: tuple[str, int]) -> str:
    return f"{key[0]} {key[1]}"


def _counts(tracks: Tracks, ids: NDArray[np.int64], config: ReidConfig) -> Iterator[Check]:
    """A class has at least as many identities as were ever in view at once, and no more than tracks."""
    limit_ns = round(config.associate.max_same_video_time_overlap * 1e9)
    for place, name in enumerate(tracks.class_names):
        own = tracks.classes == place
        unique, most = len(np.unique(ids[own])), int(own.sum())
        least = max(
            (_at_once(tracks, own & (tracks.video == video), limit_ns) for video in range(len(tracks.videos))),
            default=0,
        )
        yield Check(
            f"plausible number of identities of class {name}",
            least <= unique <= most,
            f"{unique}; {least} were in view of one camera at once, and there are {most} tracks",
        )


def _at_once(tracks: Tracks, rows: NDArray[np.bool_], limit_ns: int) -> int:
    """The most tracks that were there at one moment, by more than a handover."""
    starts, ends = tracks.starts_ns[rows], tracks.ends_ns[rows] - limit_ns
    long = ends > starts
    moments = np.concatenate([starts[long], ends[long]])
    steps = np.concatenate([np.ones(int(long.sum()), int), -np.ones(int(long.sum()), int)])
    order = np.lexsort((steps, moments))
    return int(np.cumsum(steps[order]).max(initial=min(1, int(rows.sum()))))


def _analytics(root: Path, ids: NDArray[np.int64]) -> Check:
    path = root / MERGED_FILE
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        stated, alike = found["num_globals"], found["similarity"]["known_different_reaching_it"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error!r}; run `throughline identify` again") from error
    counts = f"{len(np.unique(ids))} in the map, {stated} in {MERGED_FILE}"
    share = "" if alike is None else f"; {alike:.1%} of pairs who are in view together reach min_sim"
    told_apart = alike is None or alike <= _MOST_ALIKE
    advice = "" if told_apart else ": the model does not tell people apart at this min_sim; raise it"
    return Check(
        "counts agree, and min_sim tells people apart",
        stated == len(np.unique(ids)) and told_apart,
        counts + share + advice,
    )
