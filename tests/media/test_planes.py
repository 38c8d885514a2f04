from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from throughline.domain.geometry import Box, Size
from throughline.domain.time import Instant
from throughline.media.frame import Frame
from throughline.media.planes import Planes, shrunk

SIZE = Size(64, 32)
COLOURS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (128, 128, 128), (250, 250, 250), (5, 5, 5), (86, 180, 233)]


def plain(colour: tuple[int, int, int], size: Size = SIZE) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((size.height, size.width, 3), colour, np.uint8)


def levels(planes: Planes) -> list[float]:
    return [float(plane.mean()) for plane in (planes.y, planes.u, planes.v)]


def recorded(colour: tuple[int, int, int], matrix: Colorspace, tag: int, span: ColorRange) -> av.VideoFrame:
    """A frame as a camera's file gives it: its colours in one matrix and range, and a tag that says so, or does not."""
    rgb = av.VideoFrame.from_ndarray(plain(colour, Size(128, 64)), format="rgb24")
    frame = rgb.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=span)
    frame.colorspace, frame.color_range = tag, span
    return frame


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("matrix", "tag", "span"),
    [
        (Colorspace.ITU709, 1, ColorRange.MPEG),
        (Colorspace.ITU601, 5, ColorRange.MPEG),
        (Colorspace.ITU601, 6, ColorRange.MPEG),
        (Colorspace.ITU601, 2, ColorRange.MPEG),  # untold
        (Colorspace.ITU601, 6, ColorRange.JPEG),
        (Colorspace.SMPTE240M, 7, ColorRange.MPEG),
    ],
)
def test_colours_are_the_same_whatever_matrix_footage_has(
    colour: tuple[int, int, int], matrix: Colorspace, tag: int, span: ColorRange
) -> None:
    picture = Planes.of_frame(recorded(colour, matrix, tag, span), SIZE)
    assert picture.size == SIZE
    assert levels(picture) == pytest.approx(levels(Planes.of_rgb(plain(colour))), abs=4)


def test_footage_that_is_as_films_hold_it_is_passed_on_unchanged() -> None:
    frame = recorded((200, 40, 40), Colorspace.ITU709, 1, ColorRange.MPEG)
    picture = Planes.of_frame(frame, Size(frame.width, frame.height))
    planes = np.concatenate([plane.reshape(-1) for plane in (picture.y, picture.u, picture.v)])
    assert np.array_equal(planes, frame.to_ndarray().reshape(-1))


@pytest.mark.parametrize("size", [Size(416, 234), Size(960, 540), Size(33, 17), Size(1919, 1080)])
@pytest.mark.parametrize("source", [Size(1920, 1080), Size(1922, 1083)])
def test_a_frame_made_smaller_shows_the_same_by_means_of_all_its_pixels(source: Size, size: Size) -> None:
    ramp = np.linspace(30, 220, source.width)[None, :, None] + np.linspace(0, 30, source.height)[:, None, None]
    picture = np.repeat(ramp, 3, axis=2)
    noise = np.random.default_rng(0).normal(0, 20, picture.shape[:2])[..., None]
    noisy = av.VideoFrame.from_ndarray((picture + noise).clip(0, 255).astype(np.uint8), format="rgb24")
    frame = noisy.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
    frame.colorspace, frame.color_range = 1, ColorRange.MPEG
    small = shrunk(frame, size)
    assert (small.width, small.height, small.format.name) == (size.width, size.height, "yuv420p")
    assert (small.colorspace, small.color_range) == (frame.colorspace, frame.color_range)
    columns = ((np.arange(size.width) + 0.5) * source.width / size.width).astype(int)
    rows = ((np.arange(size.height) + 0.5) * source.height / size.height).astype(int)
    off = small.to_ndarray(format="rgb24").astype(float)[..., 1] - picture[rows][:, columns, 1]
    assert abs(off.mean()) < 1.5
    halvings = int(np.log2(min(source.width / size.width, source.height / size.height)))
    assert off.std() < 3 + 20 / 2**halvings, "noise is averaged, not picked"


def test_a_part_is_a_view_and_a_frame_is_a_copy() -> None:
    picture = Planes.black(SIZE)
    frame = picture.to_frame()
    part = picture.part(slice(8, 16), slice(20, 40))
    assert part.size == Size(20, 8)
    part.show(Planes.of_rgb(plain((250, 250, 250), part.size)))
    rows, columns = np.nonzero(picture.y > 200)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 15, 20, 39)
    assert frame.to_ndarray().max() == 128


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_cut_of_a_frame_shows_the_same_as_the_whole_picture_there(turn: int) -> None:
    rgb = np.zeros((96, 160, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = (
        np.linspace(0, 255, 160, dtype=np.uint8),
        np.linspace(0, 255, 96, dtype=np.uint8)[:, None],
    )
    decoded = np.ascontiguousarray(np.rot90(rgb, turn // 90))
    picture = av.VideoFrame.from_ndarray(decoded, format="rgb24").reformat(format="yuv420p")
    frame = Frame(Instant(0), 1, Size(160, 96), turn, picture, 0)
    cut = frame.cut(Box(40, 20, 120, 68), Size(160, 96))
    whole = frame.planes(Size(320, 192))
    wanted = whole.part(slice(40, 136), slice(80, 240))
    for one, other in ((cut.y, wanted.y), (cut.u, wanted.u), (cut.v, wanted.v)):
        assert np.abs(one.astype(int) - other).mean() < 2
