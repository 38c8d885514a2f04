"""Peak memory of the tracker's own work on long footage: association, best moments and the table of tracks."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.bench.measure import Measure
from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND
from throughline.perception.associate import Association, AssociationSettings
from throughline.storage.detections import FrameDetections
from throughline.tracker.record import TrackRecorder, record_tracks

_RATE = 10
_PEOPLE = 10
_FRAME = Size(1280, 720)
_STAY_FRAMES = 200
"""Everybody crosses the picture within 20 s; then somebody new comes."""
FEW_BOXES, MANY_BOXES = 60_000, 720_000


def run() -> list[Measure]:
    """Each amount in a process of its own, since a peak never goes down."""
    few, many = (_peak_mib(boxes) for boxes in (FEW_BOXES, MANY_BOXES))
    return [
        Measure("tracker, peak RSS over 60,000 boxes", few, "MiB"),
        Measure("tracker, peak RSS over 720,000 boxes", many, "MiB"),
        Measure("tracker, peak RSS, 720,000 to 60,000 boxes", many / few, "ratio", 1.10),
    ]


def _peak_mib(boxes: int) -> float:
    command = [sys.executable, "-m", "tests.bench.memory", "--boxes", str(boxes)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def crowd(boxes: int) -> Iterator[tuple[Size, FrameDetections]]:
    """Frames with people who walk across at different heights."""
    lanes = np.arange(_PEOPLE)
    for frame in range(boxes // _PEOPLE):
        along = (frame + lanes * _STAY_FRAMES // _PEOPLE) % _STAY_FRAMES / _STAY_FRAMES
        left, top = along * (_FRAME.width - 40), 10.0 + lanes * 60
        corners = np.stack([left, top, left + 40, top + 55], axis=1).astype(np.float32)
        scores, classes = np.full(_PEOPLE, 0.9, np.float32), np.zeros(_PEOPLE, np.int32)
        yield _FRAME, FrameDetections(frame * NS_PER_SECOND // _RATE, corners, scores, classes)


def main() -> None:
    """Track a crowd and print the peak of the resident memory in MiB."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--boxes", type=int, required=True)
    boxes = parser.parse_args().boxes
    with tempfile.TemporaryDirectory() as folder, TrackRecorder(Path(folder), crops_per_track=8) as recorder:
        record_tracks(crowd(boxes), 0, Association(_RATE, AssociationSettings()), recorder)
        if recorder.box_count < 0.95 * boxes:
            raise RuntimeError(f"of {boxes} boxes only {recorder.box_count} became part of a track")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
