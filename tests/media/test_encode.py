from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.clips import number_in, numbered_picture
from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND
from throughline.media.encode import Encoder, EncoderSettings
from throughline.media.planes import Canvas, Planes

SIZE = Size(192, 64)
MS = 1_000_000


def read(path: Path) -> list[tuple[float, int]]:
    with av.open(str(path)) as container:
        return [
            (round(frame.time or 0, 3), number_in(frame.to_ndarray(format="rgb24").astype(np.uint8)))
            for frame in container.decode(video=0)
        ]


def test_each_picture_is_shown_from_its_own_time_on(tmp_path: Path) -> None:
    times_ms = [0, 40, 1000, 1001, 5000, 5400]
    with Encoder(tmp_path / "film.mp4", SIZE) as film:
        for number, time in enumerate(times_ms):
            film.write(numbered_picture(number, SIZE), time * MS)

    assert read(tmp_path / "film.mp4") == [(time / 1000, number) for number, time in enumerate(times_ms)]


@pytest.mark.parametrize(("end_ns", "length"), [(None, 0.4), (3 * NS_PER_SECOND, 3.0)])
def test_the_last_picture_lasts_as_long_as_the_one_before_or_as_said(
    tmp_path: Path, end_ns: int | None, length: float
) -> None:
    film = Encoder(tmp_path / "film.mp4", SIZE)
    for number in range(4):
        film.write(numbered_picture(number, SIZE), number * 100 * MS)
    film.close(end_ns)

    with av.open(str(tmp_path / "film.mp4")) as container:
        assert (container.duration or 0) / 1_000_000 == pytest.approx(length, abs=1e-3)


def test_a_film_is_what_browsers_play_and_its_index_comes_first(tmp_path: Path) -> None:
    with Encoder(tmp_path / "film.mp4", SIZE, EncoderSettings(gop_seconds=1, threads=1)) as film:
        for number in range(40):
            film.write(numbered_picture(number, SIZE), number * 100 * MS)

    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.codec_context.colorspace, stream.time_base and stream.time_base.denominator) == (1, 90_000)
        keyframes = [packet.pts for packet in container.demux(stream) if packet.is_keyframe]
    assert keyframes == [0, 90_000, 180_000, 270_000]
    data = (tmp_path / "film.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_colours_come_back(tmp_path: Path) -> None:
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (128, 128, 128)]
    with Encoder(tmp_path / "film.mp4", SIZE, EncoderSettings(crf=10)) as film:
        for number, colour in enumerate(colours):
            film.write(np.full((SIZE.height, SIZE.width, 3), colour, np.uint8), number * 100 * MS)

    with av.open(str(tmp_path / "film.mp4")) as container:
        means = [frame.to_ndarray(format="rgb24").mean(axis=(0, 1)) for frame in container.decode(video=0)]
    assert np.abs(np.array(means) - np.array(colours)).max() < 6


def test_what_cannot_be_encoded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even width and height, not 191x64"):
        Encoder(tmp_path / "odd.mp4", Size(191, 64))
    with Encoder(tmp_path / "film.mp4", SIZE) as film:
        film.write(numbered_picture(0, SIZE), 0)
        with pytest.raises(ValueError, match="does not come after"):
            film.write(numbered_picture(1, SIZE), 0)
        with pytest.raises(ValueError, match="expected a picture of 64x192x3"):
            film.write(numbered_picture(1, Size(96, 64)), MS)


def test_a_canvas_is_drawn_on_again_and_every_frame_keeps_what_it_showed(tmp_path: Path) -> None:
    canvas, path = Canvas(Size(64, 48)), tmp_path / "film.mp4"
    levels = [40, 90, 140, 190, 60]
    with Encoder(path, canvas.size) as encoder:
        for index, level in enumerate(levels):
            canvas.open().y[:] = level
            encoder.write(canvas, index * 100_000_000)
    with av.open(str(path)) as container:
        shown = [float(Planes.on(frame).y.mean()) for frame in container.decode(video=0)]
    assert np.allclose(shown, levels, atol=3)
