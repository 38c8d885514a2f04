"""Crowds of boxes whose true motion and whose camera's are known."""

from __future__ import annotations

import numpy as np
import pytest

from throughline.domain.geometry import Boxes, Size
from throughline.perception.associate import Association, AssociationSettings, Sighting, Tracked
from throughline.perception.camera_motion import CameraMotion, CameraPath, shifted

RATE = 20.0
STEP_NS = 50_000_000
FRAMES = 60
SIZE = Size(1920, 1080)


def crowd(frame: int, walking: float, noise: float = 0.4, people: int = 8) -> Boxes:
    """People in rows, every other one walking to the right by `walking` px a frame; boxes jitter by `noise` px."""
    random = np.random.default_rng(frame)
    lefts = 150.0 * np.arange(people) + walking * frame * (np.arange(people) % 2) + random.normal(0, noise, people)
    tops = 200.0 + 60 * (np.arange(people) % 3) + random.normal(0, noise, people)
    return np.stack([lefts, tops, lefts + 60, tops + 180], axis=1).astype(np.float32)


def panned(frame: int) -> np.ndarray:
    """Where the scene is in the picture of a camera that turns and shakes."""
    return np.array([-9.0 * frame, 12 * np.sin(frame)])


def followed(walking: float, moving: bool) -> list[np.ndarray]:
    """The shift of every frame, when the tracks are known."""
    motion = CameraMotion(RATE)
    found = []
    for frame in range(FRAMES):
        seen = shifted(crowd(frame, walking), panned(frame) if moving else np.zeros(2))
        motion.register(frame * STEP_NS, seen)
        for track, box in enumerate(shifted(seen, motion.shift)):
            motion.learn(track, frame * STEP_NS, box)
        found.append(motion.shift)
    return found


@pytest.mark.parametrize("walking", [0.0, 3.0, 8.0])
def test_a_fixed_camera_does_not_move_though_a_crowd_walks_past_it(walking: float) -> None:
    assert not np.any(followed(walking, moving=False))


def test_a_camera_that_turns_and_shakes_is_followed() -> None:
    found = np.array(followed(1.0, moving=True))
    steps, true_steps = np.diff(found, axis=0), -np.diff([panned(frame) for frame in range(FRAMES)], axis=0)
    assert np.abs(steps - true_steps)[5:, 1].mean() < 1.0
    assert np.abs(steps - true_steps)[5:, 0].mean() < 2.0


@pytest.mark.parametrize("people", [0, 1, 2])
def test_too_few_people_say_nothing(people: int) -> None:
    motion = CameraMotion(RATE)
    for frame in range(5):
        seen = shifted(crowd(0, 0)[:people], panned(frame))
        motion.register(frame * STEP_NS, seen)
        for track, box in enumerate(seen):
            motion.learn(track, frame * STEP_NS, box)
    assert not motion.shift.any()


def test_a_path_gives_the_shift_of_each_frame_and_keeps_only_changes() -> None:
    path = CameraPath()
    assert path.shifts(np.array([5])).tolist() == [[0, 0]]
    path.begin_anew(10)
    for time_ns, shift in ((10, (0.0, 0.0)), (20, (3.0, 1.0)), (30, (3.0, 1.0)), (40, (0.0, 0.0))):
        path.add(time_ns, np.array(shift))
    assert path.shifts(np.array([10, 20, 30, 40])).tolist() == [[0, 0], [3, 1], [3, 1], [0, 0]]
    assert path.breaks_ns == [10]


def test_people_keep_their_tracks_while_the_camera_is_jerked() -> None:
    jerks = np.cumsum(np.where(np.arange(FRAMES) % 7 == 3, 28.0, 0.0))

    def tracks(follow: bool) -> int:
        association = Association(RATE, AssociationSettings(follow_camera=follow))
        news: list[Tracked] = []
        for frame in range(FRAMES):
            boxes = shifted(crowd(frame, 0.0), np.array([-jerks[frame], 0.0]))
            people = [Sighting(frame * STEP_NS, tuple(box), 0.9, 0.5) for box in boxes.tolist()]
            news += association.update(SIZE, frame * STEP_NS, people)
        return len({each.track_id for each in [*news, *association.finish()]})

    assert tracks(follow=True) == 8
    assert tracks(follow=False) > 8
