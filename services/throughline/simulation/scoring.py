"""How good a finished job was, measured against ground truth. Arithmetic only: nothing is read, nothing is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from throughline.domain.time import NS_PER_SECOND, ClockMap, Instant, Interval, merge_intervals
from throughline.domain.truth import NOBODY, CameraTruth, TrackLabel

TrackKey = tuple[str, int]
"""Camera and number of one of our own tracks."""
MIN_SHARE = 0.7
MIN_DURATION_NS = NS_PER_SECOND
MIN_HEIGHT_PX = 40.0
HALF = 0.5
"""Share of a person that must be visible for the film to owe them a picture."""
ANY = 0.1
"""Share of a person from which on showing their camera is not wrong."""
TOLERANCE_NS = NS_PER_SECOND // 2


def is_clear(label: TrackLabel) -> bool:
    """Whether a track is good enough to be judged by: one person in 70% of its boxes, at least 1 s long and 40 px tall."""
    return (
        label.person != NOBODY
        and label.share >= MIN_SHARE
        and label.duration_ns >= MIN_DURATION_NS
        and label.median_height_px >= MIN_HEIGHT_PX
    )


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What ranking found. `candidates` are those at or above the threshold; `wrong` of them mostly show someone else, or nobody.

    `missed`: true candidates that are not among them.
    """

    candidates: int
    wrong: int
    true: int
    missed: tuple[TrackKey, ...]
    auc: float
    """Chance that a true candidate scores higher than a clear track of someone else; NaN where one of the two is lacking."""

    @property
    def recall(self) -> float:
        """Share of the true candidates that were found; 1 where there are none."""
        return 1.0 - len(self.missed) / self.true if self.true else 1.0

    @property
    def precision(self) -> float:
        """Share of the candidates that show the person; 1 where there are none."""
        return 1.0 - self.wrong / self.candidates if self.candidates else 1.0


def score_retrieval(
    similarities: Mapping[TrackKey, float],
    candidates: Iterable[TrackKey],
    labels: Mapping[TrackKey, TrackLabel],
    person: int,
) -> Retrieval:
    """Compare the candidates with who the tracks really show.

    similarities: of every track that was compared with the query, which excludes the query's own and impossible ones.
    """
    found = set(candidates)
    true = {key for key in similarities if is_clear(labels[key]) and labels[key].person == person}
    others = {key for key in similarities if is_clear(labels[key]) and labels[key].person != person}
    return Retrieval(
        candidates=len(found),
        wrong=sum(labels[key].person != person for key in found),
        true=len(true),
        missed=tuple(sorted(true - found)),
        auc=auc([similarities[key] for key in true], [similarities[key] for key in others]),
    )


def auc(positives: ArrayLike, negatives: ArrayLike) -> float:
    """Chance that one of `positives` exceeds one of `negatives`, ties counting half; NaN where one of them is empty."""
    high, low = np.asarray(positives, np.float64), np.sort(np.asarray(negatives, np.float64))
    if not len(high) or not len(low):
        return float("nan")
    below = np.searchsorted(low, high, side="left")
    equal = np.searchsorted(low, high, side="right") - below
    return float((below + equal / 2).sum() / (len(high) * len(low)))


def visible_spans(
    truth: CameraTruth,
    person: int,
    clock: ClockMap,
    min_visibility: float,
    min_height_px: float = 0.0,
    bridge_ns: int = NS_PER_SECOND // 4,
) -> list[Interval]:
    """When a person is visible before one camera, in UTC. A frame lasts until the next one; what is `bridge_ns` apart is joined."""
    heights = truth.boxes[:, 3] - truth.boxes[:, 1]
    rows = (truth.persons == person) & (truth.visibility >= min_visibility) & (heights >= min_height_px)
    frames = np.unique(truth.times_ns)
    frame_ns = int(np.diff(frames).min()) if len(frames) > 1 else 0
    shown = [
        Interval(clock.to_utc(Instant(at)), clock.to_utc(Instant(at + frame_ns)))
        for at in np.unique(truth.times_ns[rows]).tolist()
    ]
    return merge_intervals(shown, bridge_ns)


@dataclass(frozen=True, slots=True)
class Presence:
    """Where a person really was, in UTC, by camera: when they were at least half visible, and when at all."""

    half: Mapping[str, Sequence[Interval]]
    any: Mapping[str, Sequence[Interval]]


def presence(truth: Mapping[str, CameraTruth], clocks: Mapping[str, ClockMap], person: int) -> Presence:
    """By ground truth; people below 40 px are too small for the film to owe them a picture."""
    exact = ClockMap()
    return Presence(
        half={c: visible_spans(t, person, clocks.get(c, exact), HALF, MIN_HEIGHT_PX) for c, t in truth.items()},
        any={c: visible_spans(t, person, clocks.get(c, exact), ANY) for c, t in truth.items()},
    )


@dataclass(frozen=True, slots=True)
class FilmScore:
    """How well a film shows where the person was.

    The film owes a camera whenever the person is at least half visible there and a confirmed track is at work; it is right when it
    shows every camera that it owes, and none where they aren't at all, give or take half a second.
    right_share: of the time for which it owes something, the share at which it is right.
    stay_share: the same where a confirmed track makes it owe the whole stay, also what the tracker lost of it.
    entering_ns, leaving_ns: for each appearance how far its edges are off: 0 anywhere between being visible at all and half visible.
    """

    right_share: float
    owed_ns: int
    stay_share: float
    stays_ns: int
    entering_ns: tuple[int, ...]
    leaving_ns: tuple[int, ...]

    def edges_within(self, tolerance_ns: int = TOLERANCE_NS) -> float:
        """Share of entrances and exits that are off by at most `tolerance_ns`; 1 where there are none."""
        edges = (*self.entering_ns, *self.leaving_ns)
        return sum(edge <= tolerance_ns for edge in edges) / len(edges) if edges else 1.0


Spans = Mapping[str, Sequence[Interval]]
"""Intervals of UTC by camera."""


def score_film(shown: Spans, confirmed: Spans, was: Presence) -> FilmScore:
    """Compare a film with the truth. shown: when the film shows each camera; confirmed: spans of the query's and the confirmed tracks."""
    shown = {camera: merge_intervals(spans) for camera, spans in shown.items()}
    stays = {
        camera: [stay for stay in was.half.get(camera, ()) if any(stay.overlaps(span) for span in spans)]
        for camera, spans in confirmed.items()
    }
    tracked = {camera: _intersections(stays[camera], spans) for camera, spans in confirmed.items()}
    allowed = {camera: [_around(span) for span in spans] for camera, spans in was.any.items()}
    right_ns, owed_ns = _right_and_owed(shown, tracked, allowed)
    stays_right_ns, stays_ns = _right_and_owed(shown, stays, allowed)
    edges = [_edge_errors(span, was, camera) for camera, spans in shown.items() for span in spans]
    return FilmScore(
        right_share=right_ns / owed_ns if owed_ns else 1.0,
        owed_ns=owed_ns,
        stay_share=stays_right_ns / stays_ns if stays_ns else 1.0,
        stays_ns=stays_ns,
        entering_ns=tuple(entering for entering, _ in edges),
        leaving_ns=tuple(leaving for _, leaving in edges),
    )


def _right_and_owed(shown: Spans, owed: Spans, allowed: Spans) -> tuple[int, int]:
    """For how long the film is right, of the time for which it owes something."""
    cameras = sorted({*shown, *owed})
    every = [span for spans in (*shown.values(), *owed.values(), *allowed.values()) for span in spans]
    right_ns = owed_ns = 0
    for start, end in pairwise(sorted({edge for span in every for edge in (span.start, span.end)})):
        due = {camera for camera in cameras if _covers(owed.get(camera, ()), start)}
        if due:
            seen = {camera for camera in cameras if _covers(shown.get(camera, ()), start)}
            owed_ns += end - start
            if due <= seen and all(_covers(allowed.get(camera, ()), start) for camera in seen):
                right_ns += end - start
    return right_ns, owed_ns


def _edge_errors(appearance: Interval, was: Presence, camera: str) -> tuple[int, int]:
    """How far entrance and exit are off. An appearance at a time when the person isn't there at all is off by its whole length."""
    at_all = [span for span in was.any.get(camera, ()) if span.overlaps(appearance)]
    if not at_all:
        return appearance.duration_ns, appearance.duration_ns
    half = [span for span in was.half.get(camera, ()) if span.overlaps(appearance)]
    too_early, left_late = at_all[0].start - appearance.start, appearance.end - at_all[-1].end
    too_late = appearance.start - half[0].start if half else 0
    left_early = half[-1].end - appearance.end if half else 0
    return max(0, too_early, too_late), max(0, left_early, left_late)


def _intersections(some: Iterable[Interval], others: Sequence[Interval]) -> list[Interval]:
    return merge_intervals(common for one in some for other in others if (common := one.intersection(other)))


def _covers(spans: Iterable[Interval], moment: Instant) -> bool:
    return any(moment in span for span in spans)


def _around(span: Interval) -> Interval:
    return span.padded(TOLERANCE_NS, TOLERANCE_NS)
