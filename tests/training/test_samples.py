from pathlib import Path

import numpy as np
import pytest

from throughline.training.samples import CANVAS, CROP, FIRST_TRAINING_SEED, Samples, draw_samples


@pytest.fixture(scope="module")
def samples() -> Samples:
    return draw_samples(FIRST_TRAINING_SEED, cameras=1, frames=3)


def test_frames_are_letterboxed_and_boxes_lie_in_them(samples: Samples) -> None:
    assert samples.frames.shape == (3, CANVAS.height, CANVAS.width, 3)
    assert (samples.frames[:, 0] == 114).all()
    boxes = samples.boxes
    assert set(np.unique(boxes[:, 0])) <= set(range(3))
    assert (boxes[:, 1:5] >= 0).all()
    assert (boxes[:, [1, 3]] <= CANVAS.width).all()
    assert (boxes[:, [2, 4]] <= CANVAS.height).all()
    assert set(np.unique(boxes[:, 5])) <= {0.0, 1.0}


def test_crops_have_identities_of_their_own_store(samples: Samples) -> None:
    assert samples.crops.shape[1:] == (CROP.height, CROP.width, 3)
    assert len(samples.crops) == len(samples.identities) > 0
    assert set(np.unique(samples.identities[:, 0] // 100)) == {FIRST_TRAINING_SEED}


def test_same_seed_gives_the_same_samples(samples: Samples, tmp_path: Path) -> None:
    again = draw_samples(FIRST_TRAINING_SEED, cameras=1, frames=3)
    again.save(tmp_path / "1000.npz")
    with np.load(tmp_path / "1000.npz") as file:
        assert (file["frames"] == samples.frames).all()
        assert (file["crops"] == samples.crops).all()
        assert (file["boxes"] == samples.boxes).all()
