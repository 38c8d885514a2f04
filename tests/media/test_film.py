"""Playing films to their end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from throughline.domain.geometry import Size
from throughline.media.encode import Encoder
from throughline.media.film import played


def test_a_film_is_decoded_to_the_end_of_its_last_frame(tmp_path: Path) -> None:
    with Encoder(tmp_path / "film.mp4", Size(64, 48)) as encoder:
        for frame in range(10):
            encoder.write(np.full((48, 64, 3), frame * 20, np.uint8), frame * 100_000_000)
    film = played(tmp_path / "film.mp4")
    assert film.frames == 10
    assert film.seconds == pytest.approx(1.0, abs=0.02)
