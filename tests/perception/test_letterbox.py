"""Frames reach the detector undeformed on grey, and its boxes come back to where things stand in the frame."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import pytest

from tests.perception.frames import frame
from throughline.domain.geometry import Letterbox, Size
from throughline.media.frame import Frame, Picture
from throughline.perception.detect import detect
from throughline.perception.embed import fitted
from throughline.perception.letterbox import GREY, letterboxed
from throughline.perception.triton.client import Detections

CANVAS = Size(128, 128)


def scene(width: int, height: int) -> Picture:
    """Black, with a white square of 64 pixels at (64, 32)."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[32:96, 64:128] = 255
    return pixels


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize(("width", "height"), [(256, 128), (128, 256), (256, 256)])
def test_the_picture_is_centred_on_grey_and_undeformed(width: int, height: int, rotation: int) -> None:
    letterbox = Letterbox(Size(width, height), CANVAS)
    canvas = letterboxed(frame(scene(width, height), rotation), letterbox)
    assert canvas.shape == (128, 128, 3)
    left, top = letterbox.offset
    assert (canvas[:top] == GREY).all()
    assert (canvas[:, :left] == GREY).all()
    white = np.argwhere(canvas.mean(axis=2) > 200)
    (first_y, first_x), (last_y, last_x) = white.min(axis=0), white.max(axis=0) + 1
    assert abs((last_x - first_x) - (last_y - first_y)) <= 1, "a square stays a square"
    expected = letterbox.to_canvas(np.array([[64, 32, 128, 96]], np.float32))[0]
    np.testing.assert_allclose([first_x, first_y, last_x, last_y], expected, atol=1.1)


@dataclass(frozen=True)
class Card:
    input_width: int = 128
    input_height: int = 128
    class_names: tuple[str, ...] = ("trolley", "person")


class WhiteDetector:
    """Finds the box around everything white, and one far outside of the canvas."""

    def model(self, name: str) -> Card:
        assert name == "detector"
        return Card()

    def detect(self, canvas: Picture) -> Future[Detections]:
        white = np.argwhere(canvas.mean(axis=2) > 200)
        (top, left), (bottom, right) = white.min(axis=0), white.max(axis=0) + 1
        future: Future[Detections] = Future()
        boxes = np.array([[left, top, right, bottom], [-90, -90, -50, -50]], np.float32)
        future.set_result(Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([1, 0], np.int32)))
        return future


def test_no_crop_holds_on_to_its_frame_in_the_end() -> None:
    whole = [frame(scene(256, 128), time=time) for time in range(8)]
    pictures = [each.picture for each in whole]
    alone = [sys.getrefcount(picture) for picture in pictures]
    holding = []
    for found in detect(iter(whole), WhiteDetector(), limit=2):  # type: ignore[arg-type]
        crops = list(found.crops.values())
        holding.append(crops)
        if found.time_ns == 5:
            assert [each[0]().shape for each in holding] == [holding[0][0]().shape] * 6
    whole.clear()
    assert [sys.getrefcount(picture) for picture in pictures] == [count - 1 for count in alone]
    assert all(crops[0]().mean() > 200 for crops in holding)


def test_boxes_come_back_in_pixels_of_the_source_and_within_it() -> None:
    def frames() -> Iterator[Frame]:
        for time in range(5):
            yield frame(scene(256, 128), time=time)

    found = list(detect(frames(), WhiteDetector(), limit=2))  # type: ignore[arg-type]
    assert [each.time_ns for each in found] == [0, 1, 2, 3, 4]
    for each in found:
        np.testing.assert_allclose(each.boxes, [[64, 32, 128, 96]], atol=2.1)
        assert (each.scores.tolist(), each.class_ids.tolist()) == ([pytest.approx(0.9)], [1])
        assert [crop().mean() > 200 for crop in each.crops.values()] == [True], "and people with what they look like"


@pytest.mark.parametrize("shape", [(400, 150, 3), (20, 9, 3), (1, 1, 3), (64, 32, 3)])
def test_crops_are_stretched_to_the_models_size(shape: tuple[int, int, int]) -> None:
    picture = fitted(np.full(shape, 77, np.uint8), Size(32, 64))
    assert picture.shape == (64, 32, 3)
    assert picture.dtype == np.uint8
    assert (picture == 77).all()
