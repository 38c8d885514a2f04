"""Where everybody but the subject is at any moment between two looks of the detector, with room for what nobody saw."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from throughline.domain.geometry import Boxes
from throughline.domain.time import NS_PER_SECOND, Instant, seconds_to_ns
from throughline.domain.tracks import Track, TrackTable
from throughline.storage.detections import People


class Redaction(StrEnum):
    """What of other people is made unrecognisable."""

    NONE = "none"
    HEADS = "heads"
    BODIES = "bodies"


class RedactionSettings(BaseModel):
    """How much more than the boxes is covered. Lengths are parts of a box's height."""

    model_config = ConfigDict(frozen=True)

    margin: float = Field(default=0.16, ge=0, le=1)
    """On every side."""
    growth: float = Field(default=0.5, ge=0, le=5)
    """More on every side for every second to the nearest box."""
    lead_seconds: float = Field(default=1.5, ge=0, le=10)
    """How long before the first and after the last box of a track its surroundings are covered."""
    lone_seconds: float = Field(default=0.6, ge=0, le=10)
    """The same for a detection that belongs to no track."""
    least_score: float = Field(default=0.2, ge=0, le=1)
    """Detections below it that belong to no track are taken for nothing."""
    clear_edge: float = Field(default=0.08, ge=0, le=0.2)
    """How much around the subject's box stays clear with it."""
    head_share: float = Field(default=0.28, gt=0, le=1)
    """How much of a box from its upper edge is taken for the head."""

    @property
    def reach_ns(self) -> int:
        """Boxes that lie further from a moment than this have no say in it."""
        return seconds_to_ns(max(self.lead_seconds, self.lone_seconds)) + _LONGEST_GAP_NS


_LONGEST_GAP_NS = 4 * NS_PER_SECOND
"""Longer than any track of the tracker goes on without a box."""
_SPEED_BOXES = 4
"""From so many boxes at its end a track's speed is taken."""


class Crowd:
    """Everybody whom one camera saw in a span and around it. Times are the camera's."""

    def __init__(self, tracks: TrackTable, people: People, settings: RedactionSettings, what: Redaction) -> None:
        lead, lone = seconds_to_ns(settings.lead_seconds), seconds_to_ns(settings.lone_seconds)
        self.people = people.only(_within(people, tracks) | (people.scores >= settings.least_score))
        """Those who count."""
        loose = self.people.only(~_within(self.people, tracks))
        lone_ones = (slice(row, row + 1) for row in range(len(loose.times_ns)))
        self._tracks = {track.track_id: track for track in tracks.tracks()}
        self._walks = [_Walk(track, lead) for track in self._tracks.values()]
        self._walks += [
            _Walk(Track(0, loose.times_ns[at], loose.boxes[at], loose.scores[at]), lone) for at in lone_ones
        ]
        self._starts = np.array([walk.start_ns for walk in self._walks], np.int64)
        self._ends = np.array([walk.end_ns for walk in self._walks], np.int64)
        self._settings = settings
        self._sensitive_share = settings.head_share if what is Redaction.HEADS else 1.0

    def hidden_at(self, time: Instant, subject: Collection[int]) -> Boxes:
        """(n, 4) boxes to make unrecognisable at a moment, pixels of the upright frame; those of the subject's tracks are left out."""
        there = np.flatnonzero((self._starts <= time.ns) & (self._ends >= time.ns))
        walks = [self._walks[index] for index in there.tolist()]
        others = [walk for walk in walks if walk.number not in subject]
        boxes = [self._covering(box, away) for walk in others for box, away in walk.at(time.ns)]
        return np.stack(boxes).astype(np.float32) if boxes else np.empty((0, 4), np.float32)

    def clear_at(self, time: Instant, subject: Collection[int]) -> Boxes:
        """(n, 4) boxes of the subject, which stay clear, with a narrow edge; none where the detector looked and did not see it."""
        found = (self._seen_at(self._tracks[number], time) for number in subject if number in self._tracks)
        seen = [box for box in found if box is not None]
        boxes = np.stack(seen) if seen else np.empty((0, 4), np.float32)
        edge = (boxes[:, 3:] - boxes[:, 1:2]) * self._settings.clear_edge
        return (boxes + np.concatenate([-edge, -edge, edge, edge], axis=1)).astype(np.float32)

    def _seen_at(self, track: Track, time: Instant) -> Boxes | None:
        """A track's box, (4,), where the looks before and after a moment saw it."""
        after = int(track.times_ns.searchsorted(time.ns))
        if 0 < after < len(track.times_ns) and track.times_ns[after] != time.ns:
            looked = self.people.looked_ns
            following = int(looked.searchsorted(track.times_ns[after - 1], side="right"))
            if following < len(looked) and looked[following] < track.times_ns[after]:
                return None  # somebody else may stand where it would be
        return track.box_at(time, _LONGEST_GAP_NS)

    def sensitive(self, boxes: Boxes) -> Boxes:
        """(n, 4) what of people's boxes nobody may recognise: all, or the heads."""
        parts = boxes.copy()
        parts[:, 3] = boxes[:, 1] + (boxes[:, 3] - boxes[:, 1]) * self._sensitive_share
        return parts

    def looked_near(self, time: Instant, most_ns: int) -> bool:
        """Whether the detector looked at most so long before or after a moment."""
        looked = self.people.looked_ns
        after = int(looked.searchsorted(time.ns))
        return bool(np.any(np.abs(looked[max(0, after - 1) : after + 1] - time.ns) <= most_ns))

    def _covering(self, box: NDArray[np.float64], away_ns: int) -> NDArray[np.float64]:
        """What is hidden for a box that was seen so long ago or will be."""
        left, top, right, bottom = box
        height = bottom - top
        room = height * (self._settings.margin + self._settings.growth * away_ns / NS_PER_SECOND)
        bottom = top + height * self._sensitive_share
        return np.array([left - room, top - room, right + room, bottom + room])


class _Walk:
    """One track's boxes, asked for from `lead_ns` before its first to as long after its last."""

    def __init__(self, track: Track, lead_ns: int) -> None:
        self.number = track.track_id
        self._times = track.times_ns
        self._boxes = track.boxes.astype(np.float64)
        self.start_ns, self.end_ns = int(track.times_ns[0]) - lead_ns, int(track.times_ns[-1]) + lead_ns

    def at(self, time_ns: int) -> Iterator[tuple[NDArray[np.float64], int]]:
        """Boxes that somebody may fill at a moment, and how far the nearest seen one is: one between two seen ones; before the
        first and after the last both where they were seen and where they would be had they gone on."""
        after = int(self._times.searchsorted(time_ns))
        if after < len(self._times) and self._times[after] == time_ns:
            yield self._boxes[after], 0
        elif after in (0, len(self._times)):
            edge = 0 if after == 0 else after - 1
            away = abs(time_ns - int(self._times[edge]))
            yield self._boxes[edge], away
            gone_on = self._gone_on(edge, time_ns)
            if gone_on is not None:
                yield gone_on, away
        else:
            before_ns, after_ns = int(self._times[after - 1]), int(self._times[after])
            weight = (time_ns - before_ns) / (after_ns - before_ns)
            away = min(time_ns - before_ns, after_ns - time_ns)
            yield self._boxes[after - 1] + (self._boxes[after] - self._boxes[after - 1]) * weight, away

    def _gone_on(self, edge: int, time_ns: int) -> NDArray[np.float64] | None:
        """The box at one end moved on at the speed that its middle has there."""
        other = min(_SPEED_BOXES, len(self._times) - 1) if edge == 0 else max(0, edge - _SPEED_BOXES)
        if other == edge:
            return None
        middles = [(self._boxes[row][:2] + self._boxes[row][2:]) / 2 for row in (edge, other)]
        share = (time_ns - int(self._times[edge])) / (int(self._times[edge]) - int(self._times[other]))
        return self._boxes[edge] + np.tile((middles[0] - middles[1]) * share, 2)


def _within(people: People, tracks: TrackTable) -> NDArray[np.bool_]:
    """(n,) whether a detection is a box of a track."""
    if not len(tracks.times_ns):
        return np.zeros(len(people.times_ns), np.bool_)
    return np.isin(_names(people.times_ns, people.boxes), _names(tracks.times_ns, tracks.boxes))


def _names(times_ns: NDArray[np.int64], boxes: Boxes) -> NDArray[np.void]:
    """(n,) values that are equal where time and box are."""
    rows = np.empty(len(times_ns), [("time", np.int64), ("box", np.float32, 4)])
    rows["time"], rows["box"] = times_ns, boxes
    return rows.view(f"V{rows.dtype.itemsize}").reshape(-1)
