"""Footage whose coded pictures are not what people see, turned or squeezed: boxes and films are upright and undistorted."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.faults.video import Odd, encoded
from tests.ingest.footage import DiskFootage, reader
from tests.perception.triton.conftest import tiny_repository, tiny_triton  # noqa: F401 - fixtures
from throughline.domain.footage import Reel
from throughline.domain.geometry import Size
from throughline.domain.time import ClockMap, Instant
from throughline.domain.work import Work
from throughline.ingest.collate import CollatedReel
from throughline.media.frame import Picture
from throughline.media.planes import Planes
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer
from throughline.renderer.draw import Lettering
from throughline.renderer.layout import Rectangle
from throughline.renderer.scene import Scene, Style
from throughline.renderer.sources import CameraRefs, CameraSource, Sources
from throughline.storage.tables import read_tracks
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import EVERYWHERE, TrackStage

UPRIGHT = Size(128, 256)
RED = slice(64, 96), slice(32, 64)
"""Rows and columns of a red square on the upright picture: what the tiny detector takes for a person."""
PERSON = (0, 0, 96, 176)
CHUNK_FRAMES = 30


def upright_picture() -> Picture:
    """Dark, a red square, and a disc to see deformation by."""
    picture = np.full((UPRIGHT.height, UPRIGHT.width, 3), 12, np.uint8)
    y, x = np.mgrid[: UPRIGHT.height, : UPRIGHT.width]
    picture[(x - 64) ** 2 + (y - 180) ** 2 < 40**2] = (20, 200, 20)
    picture[RED] = (250, 0, 0)
    return picture


def coded(path: Path, rotation_degrees: int, pixel_aspect: Fraction) -> bytes:
    """A clip that shows the upright picture to whoever obeys its metadata; turned clockwise by so much after decoding."""
    turned = np.rot90(upright_picture(), rotation_degrees // 90)
    rows, columns = turned.shape[:2]
    wide = max(pixel_aspect, Fraction(1))
    high = max(1 / pixel_aspect, Fraction(1))
    squeezed = np.ascontiguousarray(turned[:: int(high), :: int(wide)])
    size = Size(columns // int(wide), rows // int(high))
    odd = Odd(tuple(range(0, CHUNK_FRAMES * 6000, 6000)), size, pixel_aspect=pixel_aspect)
    plain = path.with_name(f"plain-{path.name}")
    encoded(plain, odd, [squeezed] * CHUNK_FRAMES)
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        if rotation_degrees:
            stream.set_display_rotation(-rotation_degrees)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return path.read_bytes()


def collated(footage: DiskFootage, *kinds: tuple[int, Fraction]) -> CollatedReel:
    for index, kind in enumerate(kinds):
        data = coded(footage.folder / f"coded-{index}.mp4", *kind)
        footage.put(f"cam1/20260301_1000{2 * index:02d}.mp4", data)
    return footage.collate("cam1")


def difference(picture: NDArray[np.uint8]) -> float:
    """Share of pixels that are far from the upright picture's; edges blur where footage was squeezed."""
    apart = np.abs(picture.astype(int) - upright_picture()).max(axis=2) > 60
    return float(apart.mean())


SQUARE = Fraction(1)
KINDS = [
    *(pytest.param(turn, SQUARE, id=f"turned by {turn}") for turn in (0, 90, 180, 270)),
    pytest.param(0, Fraction(2), id="pixels twice as wide"),
    pytest.param(0, Fraction(1, 2), id="pixels twice as high"),
    pytest.param(90, Fraction(2), id="turned by 90, pixels twice as wide"),
    pytest.param(270, Fraction(1, 2), id="turned by 270, pixels twice as high"),
]


@pytest.mark.parametrize(("rotation", "pixel_aspect"), KINDS)
def test_pictures_are_upright_and_in_square_pixels(footage: DiskFootage, rotation: int, pixel_aspect: Fraction) -> None:
    made = collated(footage, (rotation, pixel_aspect))
    assert made.reel.parts[0].size == UPRIGHT
    with reader(made) as frames:
        frame = next(frames.frames())
        planes = frame.planes(UPRIGHT)
        assert difference(frame.rgb()) < 0.03
        assert difference(planes.to_frame().to_ndarray(format="rgb24").astype(np.uint8)) < 0.05
        assert frame.rgb(Size(32, 64)).shape == (64, 32, 3)


CHANGING = [(0, SQUARE), (90, SQUARE), (180, SQUARE), (270, SQUARE), (0, Fraction(2)), (90, Fraction(1, 2))]


@pytest.fixture
def client(tiny_triton: TritonServer) -> Iterator[InferenceClient]:  # noqa: F811
    with InferenceClient(tiny_triton.grpc_address) as client:
        yield client


def test_a_camera_that_is_turned_and_squeezed_again_and_again_has_one_upright_track(
    footage: DiskFootage, client: InferenceClient
) -> None:
    made = collated(footage, *CHANGING)
    assert len(made.reel.parts) == len(CHANGING)
    tracked = TrackStage(footage.workspace, client, TrackerSettings()).run(
        made.artifact.uri, "cam1", 10.0, EVERYWHERE, Work()
    )
    table = read_tracks(tracked.artifact.path("tracks.parquet"))
    assert len(set(table.track_ids.tolist())) == 1, "who stands still stays the same person"
    for part in made.reel.parts:
        inside = (table.times_ns >= part.span.start.ns) & (table.times_ns < part.span.end.ns)
        assert inside.sum() > 10
        assert np.abs(table.boxes[inside] - PERSON).max() < 6, "96 x 192 around the square, cut to the frame"


def drawn(reel: Reel, source: CameraSource, cell: Rectangle) -> Iterator[NDArray[np.uint8]]:
    """The film's picture at the middle of each part."""
    scene, canvas = Scene(Lettering(), source, cell, Style((250, 250, 0))), Planes.black(cell.size)
    for part in reel.parts:
        frame = source.reader.frame_at(part.span.start + part.span.duration_ns // 2)
        scene.draw(canvas, frame, Instant(0), [])
        view = canvas.part(*scene.place.picture.slices)
        yield view.to_frame().to_ndarray(format="rgb24").astype(np.uint8)


def test_the_film_of_a_camera_that_is_turned_stays_upright(footage: DiskFootage, client: InferenceClient) -> None:
    made = collated(footage, *CHANGING)
    tracked = TrackStage(footage.workspace, client, TrackerSettings()).run(
        made.artifact.uri, "cam1", 10.0, EVERYWHERE, Work()
    )
    refs = CameraRefs("cam1", made.artifact.uri, tracked.artifact.uri, ClockMap())
    with Sources(footage.workspace, (refs,), ()) as sources:
        pictures = list(drawn(made.reel, sources.camera("cam1"), Rectangle(0, 0, 256, 512)))
    assert len(pictures) == len(CHANGING)
    for picture in pictures:
        green = (picture[..., 1] > 120) & (picture[..., 0] < 120)
        height, width = (np.ptp(np.flatnonzero(green.any(axis=axis))) + 1 for axis in (1, 0))
        assert abs(height / width - 1) < 0.08, "the disc is round"
        red = np.argwhere((picture[..., 0] > 150) & (picture[..., 1] < 90)).mean(axis=0)
        assert np.all(red < np.array(picture.shape[:2]) * 0.4), "the square is at the upper left"
