from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from throughline.domain.geometry import Boxes, Size
from throughline.renderer.inset import Inset, InsetPlanner

SHAPES = {
    "wide": (Size(1920, 1080), Size(640, 360)),
    "small": (Size(320, 180), Size(320, 180)),
    "portrait": (Size(1080, 1920), Size(202, 360)),
    "square": (Size(1024, 1024), Size(360, 360)),
    "squeezed": (Size(720, 576), Size(480, 360)),
}


def box(frame: Size, x: float, y: float, height: float) -> Boxes:
    """Centred at shares of the frame, as high as a share of it, a third as wide."""
    high = height * frame.height
    left, top = x * frame.width - high / 6, y * frame.height - high / 2
    return np.array([left, top, left + high / 3, top + high], np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_somebody_tiny_is_enlarged_whole_and_never_covered(shape: str) -> None:
    frame, picture = SHAPES[shape]
    planner = InsetPlanner()
    for x in np.linspace(0.05, 0.95, 19):
        for y in np.linspace(0.1, 0.9, 9):
            person = box(frame, x, y, 0.1)
            inset = planner.plan(person, frame, picture)
            assert inset is not None
            on_picture = person * np.array([picture.width / frame.width, picture.height / frame.height] * 2)
            assert not overlaps(inset, on_picture)
            assert inset.source.left <= max(0, person[0]) + 1
            assert inset.source.bottom >= min(frame.height, person[3]) - 1
            assert inset.place.height / picture.height / (inset.source.height / frame.height) > 2.5, "enlarged"
            shown = (inset.place.width / inset.source.width) / (inset.place.height / inset.source.height)
            assert shown == pytest.approx((picture.width / frame.width) / (picture.height / frame.height), rel=0.02)


def overlaps(inset: Inset, on_picture: Boxes) -> bool:
    place = inset.place
    return bool(
        on_picture[0] < place.right
        and on_picture[2] > place.left
        and on_picture[1] < place.bottom
        and on_picture[3] > place.top
    )


def test_whoever_is_large_needs_no_inset_and_one_at_the_limit_does_not_flicker() -> None:
    frame, picture = SHAPES["wide"]
    planner = InsetPlanner()
    assert planner.plan(box(frame, 0.5, 0.5, 0.5), frame, picture) is None
    heights = [0.19, 0.21, 0.19, 0.22, 0.3, 0.25, 0.22, 0.19]
    shown = [planner.plan(box(frame, 0.5, 0.5, height), frame, picture) is not None for height in heights]
    assert shown == [True, True, True, True, False, False, False, True]


def test_an_inset_keeps_its_corner_until_somebody_walks_into_it() -> None:
    frame, picture = SHAPES["wide"]
    planner = InsetPlanner()
    found = [planner.plan(box(frame, x, 0.2, 0.1), frame, picture) for x in np.linspace(0.1, 0.9, 40)]
    places = [(each.place.left, each.place.top) for each in found if each is not None]
    assert len(places) == 40
    assert sum(one != other for one, other in pairwise(places)) == 1
