import numpy as np
import pytest

from throughline.simulation.painter import above


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 5)])
def test_regions_of_any_size_down_to_one_pixel_are_compared_with_a_limit(shape: tuple[int, int]) -> None:
    values = np.full((8, 8), 5.0, np.float32)[: shape[0], : shape[1]]
    values[0, 0] = 1.0
    mask = above(values, 2.0)
    assert mask.dtype == np.uint8
    assert (mask == np.where(values > 2.0, 255, 0)).all()
