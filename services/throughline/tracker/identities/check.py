"""Acceptance: what stands below ROOT is looked at anew, from the files alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput, NotFound
from throughline.tracker.identities.config import ReidConfig
from throughline.tracker.identities.constraints import Constraints, Rules
from throughline.tracker.identities.footage import read_footage
from throughline.tracker.identities.gathering import UNUSABLE
from throughline.tracker.identities.history import read_map
from throughline.tracker.identities.layout import MAP_FILE, MERGED_FILE, printable, read_video, video_folders
from throughline.tracker.identities.publish import claimed, finish_publishing
from throughline.tracker.identities.run import REPLACED, read_topology, rules_of
from throughline.tracker.identities.spans import video_tracks
from throughline.tracker.identities.stable import Key
from throughline.tracker.identities.tracks import Tracks, VideoTracks, gathered

_NAMED = 3
_MOST_ALIKE = 0.5
"""Share of pairs who are certainly different people that may reach `min_sim`; beyond it the model does not tell people apart there."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be right, and what was found."""

    what: str
    passed: bool
    found: str


@dataclass(frozen=True)
class Checked:
    """What was looked at, and why which videos were left out of the identities."""

    checks: list[Check]
    skipped: Mapping[str, str]

    @property
    def status(self) -> int:
        """0: all is right; 1: something is not; 2: nothing is wrong, but videos were left out."""
        if not all(each.passed for each in self.checks):
            return 1
        return 2 if self.skipped else 0


def check_root(root: Path, config: ReidConfig) -> Checked:
    """Everything that has to hold of the identities below `root`. Raise NotFound where there are none."""
    if not root.is_dir():
        raise NotFound(f"{printable(root)} is no folder; give one that `throughline identify` was run on")
    with claimed(root) as is_held:
        if is_held:
            finish_publishing(root, REPLACED)
        if not (root / MAP_FILE).is_file():
            raise NotFound(f"{root / MAP_FILE} is missing; run `throughline identify {root}` first")
        given, analytics = read_map(root), _Analytics.read(root)
        parts, unread = _parts(root, config, analytics.skipped)
    return Checked(_checks(gathered(parts), unread, given, analytics, config), analytics.skipped)


def _parts(root: Path, config: ReidConfig, skipped: Collection[str]) -> tuple[list[VideoTracks], list[str]]:
    """The tracks of all videos that were not left out, and what keeps others from being read."""
    parts, unread = [], []
    for folder in video_folders(root):
        if printable(folder.name) in skipped:
            continue
        try:
            video = read_video(folder)
            parts.append(video_tracks(video, read_footage(video), config.embed.class_filter, {}, 0))
        except UNUSABLE as error:
            unread.append(f"{printable(folder.name)}: {printable(error)}")
    return parts, unread


def _checks(
    tracks: Tracks, unread: Sequence[str], given: Mapping[Key, int], analytics: _Analytics, config: ReidConfig
) -> list[Check]:
    readable = Check(
        "every video can be read", not unread, "; ".join(unread[:_NAMED]) or f"{len(tracks.videos)} videos"
    )
    there = [key in given for key in tracks.keys]
    missing = [key for key, is_there in zip(tracks.keys, there, strict=True) if not is_there]
    gone = sorted(given.keys() - set(tracks.keys))
    complete = Check(
        "every track has an identity, and no other",
        not missing and not gone,
        f"{len(tracks)} tracks" + _named(", without one", missing) + _named(", not in any tracks.csv", gone),
    )
    if missing:
        return [readable, complete]
    ids = np.array([given[key] for key in tracks.keys], np.int64)
    return [
        readable,
        complete,
        *_constraints(tracks, ids, config),
        *_counts(tracks, ids, config),
        analytics.check(len(set(given.values()))),
    ]


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
    count, some = 0, list[str]()
    for rows in np.split(order, np.flatnonzero(np.diff(ids[order])) + 1):
        if len(rows) < 2:
            continue
        for start, block in constraints.blocks(rows, rows):
            wrong = np.triu(block, start + 1)  # each pair once
            count += int(wrong.sum())
            for a, b in np.argwhere(wrong)[: _NAMED - len(some)].tolist():
                some.append(f"#{ids[rows[0]]}: {_key(tracks, rows[start + a])} and {_key(tracks, rows[b])}")
    return Check(what, not count, f"{count} pairs of tracks, such as {'; '.join(some)}" if count else "none")


def _key(tracks: Tracks, row: int) -> str:
    return f"{tracks.videos[tracks.video[row]].name} {tracks.numbers[row]}"


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


@dataclass(frozen=True)
class _Analytics:
    """What merged_analytics.json says of the last run."""

    count: int
    alike: float | None
    """Share of pairs who are certainly different people that reach `min_sim`."""
    skipped: Mapping[str, str]

    @classmethod
    def read(cls, root: Path) -> _Analytics:
        path = root / MERGED_FILE
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            alike = found["similarity"]["known_different_reaching_it"]
            return cls(
                int(found["num_globals"]), None if alike is None else float(alike), dict(found.get("skipped", {}))
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidInput(f"{path} cannot be read: {error!r}; run `throughline identify` again") from error

    def check(self, count: int) -> Check:
        counts = f"{count} in the map, {self.count} in {MERGED_FILE}"
        share = "" if self.alike is None else f"; {self.alike:.1%} of pairs who are in view together reach min_sim"
        told_apart = self.alike is None or self.alike <= _MOST_ALIKE
        advice = "" if told_apart else ": the model does not tell people apart at this min_sim; raise it"
        return Check(
            "counts agree, and min_sim tells people apart", self.count == count and told_apart, counts + share + advice
        )
