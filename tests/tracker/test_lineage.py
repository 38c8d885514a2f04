from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.tracker.test_refine import ANNA, BERT, CARL, EVEN_AT_HALF, JUMP, STEP, Raw, steps
from throughline.storage import documents
from throughline.storage.tables import read_embeddings
from throughline.tracker.join import JoinSettings
from throughline.tracker.lineage import LINEAGE_FILE, Lineage

HIDDEN_FOR_A_SECOND = 30


def two_parts(folder: Path, second: np.ndarray) -> Raw:
    """Somebody of whom nothing is seen from step 20 to 30, and who then looks like `second`."""
    raw = Raw(folder)
    raw.track(1, 0, 20, {2: ANNA, 8: ANNA, 14: ANNA})
    raw.track(2, HIDDEN_FOR_A_SECOND, 20, {2: second, 8: second, 14: second}, left=30.0)
    return raw


def lineage_of(out: Path) -> Lineage:
    return documents.load(Lineage, (out / LINEAGE_FILE).read_bytes())


def test_one_person_out_of_sight_is_one_track_that_knows_its_parts(tmp_path: Path) -> None:
    refined = two_parts(tmp_path / "raw", ANNA).refined(tmp_path / "out", joining=JoinSettings())
    assert steps(tmp_path / "out") == {1: (0, 49)}
    assert [line[:1] + line[3:4] for line in refined.lines] == [(1, 40)]
    assert read_embeddings(tmp_path / "out").track_ids.tolist() == [1] * 6
    (track,) = lineage_of(tmp_path / "out").tracks
    assert [(part.raw_track, part.start.ns // STEP, part.begins) for part in track.parts] == [
        (1, 0, "track"),
        (2, HIDDEN_FOR_A_SECOND, "track"),
    ]
    first, second = (part.joined for part in track.parts)
    assert first is None
    assert second is not None
    assert (second.gap_seconds, second.likelihood) == (1.1, 1.0)


def test_who_looks_like_somebody_else_is_not_joined(tmp_path: Path) -> None:
    two_parts(tmp_path / "raw", BERT).refined(tmp_path / "out", joining=JoinSettings())
    assert steps(tmp_path / "out") == {1: (0, 19), 2: (30, 49)}


def test_poor_crops_forbid_no_join(tmp_path: Path) -> None:
    raw = two_parts(tmp_path / "raw", ANNA)
    raw.crops += [(1, step * STEP, BERT) for step in (16, 17, 18)] + [(2, step * STEP, CARL) for step in (31, 33, 35)]
    raw.crops.sort(key=lambda crop: crop[:2])
    raw.poor = {16, 17, 18, 31, 33, 35}
    raw.refined(tmp_path / "out", joining=JoinSettings())
    assert steps(tmp_path / "out") == {1: (0, 49)}


def test_without_a_calibration_motion_alone_joins(tmp_path: Path) -> None:
    two_parts(tmp_path / "raw", BERT).refined(tmp_path / "out", calibration=None, joining=JoinSettings())
    assert steps(tmp_path / "out") == {1: (0, 49)}


def test_a_division_is_told(tmp_path: Path) -> None:
    raw = Raw(tmp_path / "raw")
    raw.track(1, 0, 40, {2: ANNA, 8: ANNA, 14: ANNA, 24: BERT, 30: BERT, 36: BERT}, jumps=(17,), left=JUMP)
    raw.refined(tmp_path / "out", calibration=EVEN_AT_HALF)
    first, second = lineage_of(tmp_path / "out").tracks
    assert [part.begins for part in (*first.parts, *second.parts)] == ["track", "divided by looks"]
    assert second.parts[0].start.ns // STEP == 17
