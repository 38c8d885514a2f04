"""From the boxes of one camera, frame after frame, to tracks. The association itself is the `trackers` library's BoT-SORT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import supervision as sv
from trackers import BoTSORTTracker

from throughline.domain.geometry import Boxes, Size
from throughline.domain.time import NS_PER_SECOND, seconds_to_ns
from throughline.media.frame import Picture
from throughline.perception.camera_motion import CameraMotion, CameraPath, shifted

_LIBRARY_FRAME_RATE = 30.0
"""The library counts its buffer of lost tracks in frames at this rate."""
_DOUBTFUL_NS = 3 * NS_PER_SECOND
"""So long weak boxes are held back, in case that their track ends with them."""
_ROW = "row"
"""Carries a box's place in its frame through the library."""


@dataclass(frozen=True, slots=True)
class AssociationSettings:
    """Scores are the detector's. `activation_score`: least for a new track; `high_score`: least for the first matching, below it
    boxes only prolong tracks. `least_overlap`: least IoU times score at which a box continues a track: the higher, the fewer people
    are mixed up where they cross, and the more tracks break. A track lost for `lost_seconds` has ended, and so have all at a gap of
    `longest_gap_seconds` between frames. Tracks of fewer than `least_boxes` boxes are noise and left out. Boxes below
    `least_end_score` with which a track ends, up to 3 s of them, are of whatever hid the person, and left out. `follow_camera`: the
    camera's own motion is taken out before boxes are compared."""

    activation_score: float = 0.6
    high_score: float = 0.5
    least_overlap: float = 0.4
    lost_seconds: float = 1.5
    longest_gap_seconds: float = 2.0
    least_boxes: int = 3
    least_end_score: float = 0.35
    follow_camera: bool = False


GENERAL = AssociationSettings(
    activation_score=0.7,
    high_score=0.6,
    least_overlap=0.2,
    lost_seconds=1.5,
    least_boxes=2,
    least_end_score=0.0,
    follow_camera=True,
)
"""For footage of any kind, moving cameras included: the library's own thresholds, which suit detectors that are sure of whom they see."""


Cut = Callable[[], Picture]
"""Gives a crop when it is needed."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One box of somebody: xyxy, pixels of the upright source frame; `quality` in 0..1 says how good a crop it gives. `crop`: that
    crop, where the frame was at hand."""

    time_ns: int
    box: tuple[float, float, float, float]
    score: float
    quality: float
    crop: Cut | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Tracked:
    """News of one track: sightings to add, in order of time, and whether it has ended with them."""

    track_id: int
    sightings: Sequence[Sighting]
    ended: bool


@dataclass(slots=True)
class _Open:
    """A track that the library knows, its sightings that were not yet given out, and its id once it has one."""

    pending: list[Sighting] = field(default_factory=list)
    track_id: int = 0
    ended: bool = False


class Association:
    """Takes frames in order of time and gives out tracks as they grow, ids from 1 in order of first appearance.

    A track is held back until it has enough boxes, and with it those that appeared later, and weak boxes until a sure one follows,
    all for a few seconds at most: so what is kept in memory is bounded by the people in view, however long the video; only `camera`
    grows, and only while the camera moves.
    """

    def __init__(self, rate: float, settings: AssociationSettings) -> None:
        """`rate`: frames analysed per second. `camera`: how the camera moved in the frames so far."""
        self._rate = rate
        self._settings = settings
        self._longest_gap_ns = seconds_to_ns(max(settings.longest_gap_seconds, 2 / rate))
        self._next_id = 1
        self._open: dict[int, _Open] = {}
        self._library = self._fresh_library()
        self._unconfirmed: list[tuple[Any, Sighting]] = []
        self._motion = CameraMotion(rate)
        self.camera = CameraPath()
        self._origin_ns = 0
        self._last: tuple[int, Size] | None = None

    def update(self, size: Size, time_ns: int, people: Sequence[Sighting]) -> Iterator[Tracked]:
        """Add the people of one frame of `size`; frames come in order of time. Gives the tracks that they continue or end."""
        if self._last is not None and (time_ns - self._last[0] > self._longest_gap_ns or size != self._last[1]):
            yield from self.finish()
        if self._last is None:
            self._origin_ns = time_ns
            self.camera.begin_anew(time_ns)
        self._last = (time_ns, size)
        # 1. Find how the camera moved, and bring the boxes to the coordinates of the first frame.
        boxes: Boxes = np.array([person.box for person in people], np.float32).reshape(-1, 4)
        scores = np.array([person.score for person in people], np.float32)
        if self._settings.follow_camera:
            self._motion.register(time_ns, boxes[scores >= self._settings.high_score])
        self.camera.add(time_ns, self._motion.shift)
        places = shifted(boxes, self._motion.shift)
        # 2. Let the library associate. It counts seconds, here from the first frame after the gap.
        seconds = (time_ns - self._origin_ns) / NS_PER_SECOND
        detections = sv.Detections(xyxy=places, confidence=scores, data={_ROW: np.arange(len(people))})
        found = self._library.update(detections, timestamp=seconds)
        ids, rows = np.asarray(found.tracker_id), np.asarray(found.data.get(_ROW, []))
        # 3. Tracks are confirmed by their second box; give them their first.
        self._confirm()
        # 4. Add this frame's boxes, and keep those whose tracks wait for confirmation.
        loose = []
        for track, row in zip(ids.tolist(), rows.tolist(), strict=True):
            if track >= 0:
                self._open.setdefault(track, _Open()).pending.append(people[row])
                if self._settings.follow_camera:
                    self._motion.learn(track, time_ns, places[row])
            else:
                loose.append(row)
        self._remember_unconfirmed([people[row] for row in loose], places[loose])
        # 5. Note which tracks have ended, and give out what is decided.
        alive = {tracklet.tracker_id for tracklet in self._library.tracks}
        for track, state in self._open.items():
            state.ended = track not in alive
        yield from self._decided()

    def finish(self) -> Iterator[Tracked]:
        """End all tracks, as at a gap in the footage or at its end. The next frame starts anew."""
        for state in self._open.values():
            state.ended = True
        yield from self._decided()
        self._library = self._fresh_library()
        self._unconfirmed = []
        self._motion = CameraMotion(self._rate)
        self._last = None

    def _fresh_library(self) -> BoTSORTTracker:
        return BoTSORTTracker(
            lost_track_buffer=round(self._settings.lost_seconds * _LIBRARY_FRAME_RATE),
            frame_rate=self._rate,
            track_activation_threshold=self._settings.activation_score,
            high_conf_det_threshold=self._settings.high_score,
            minimum_iou_threshold_first_assoc=self._settings.least_overlap,
            enable_cmc=False,
            instant_first_frame_activation=False,
        )

    def _confirm(self) -> None:
        for tracklet, first in self._unconfirmed:
            if tracklet.tracker_id >= 0:
                self._open.setdefault(tracklet.tracker_id, _Open()).pending.append(first)

    def _remember_unconfirmed(self, loose: Sequence[Sighting], places: Boxes) -> None:
        """The library does not say which box a new tracklet came from: it is the one that its state still equals."""
        self._unconfirmed = []
        for tracklet in self._library.tracks:
            if tracklet.tracker_id < 0 and tracklet.time_since_update == 0 and loose:
                nearest = int(np.abs(places - tracklet.get_state_bbox()).sum(axis=1).argmin())
                self._unconfirmed.append((tracklet, loose[nearest]))

    def _decided(self) -> Iterator[Tracked]:
        """In order of appearance, up to the first track of which it is open whether it is one."""
        waiting = False
        for track, state in list(self._open.items()):
            sure = self._sure(state.pending)
            if not state.track_id and not waiting:
                if sure >= self._settings.least_boxes:
                    state.track_id = self._next_id
                    self._next_id += 1
                elif not state.ended:
                    waiting = True
            if state.track_id and (sure or state.ended):
                yield Tracked(state.track_id, state.pending[:sure], state.ended)
                state.pending = state.pending[sure:]
            if state.ended and not (waiting and not state.track_id):
                del self._open[track]

    def _sure(self, pending: Sequence[Sighting]) -> int:
        """How many belong to their track, whether or not it goes on."""
        for count in range(len(pending), 0, -1):
            if pending[count - 1].score >= self._settings.least_end_score:
                return count
            if pending[-1].time_ns - pending[count - 1].time_ns > _DOUBTFUL_NS:
                return count
        return 0
