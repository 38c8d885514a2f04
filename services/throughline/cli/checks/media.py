"""FFmpeg as PyAV brings it: what cameras write can be read, and what films need can be written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from throughline.cli.checks.finding import Examined, Finding, looked, missing, ok
from throughline.domain.errors import FailedPrecondition
from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND
from throughline.media.codecs import can_decode, ffmpeg_version
from throughline.media.encode import Encoder, EncoderSettings
from throughline.media.probe import probe
from throughline.renderer.settings import RendererSettings

_READ = {"h264": "H.264", "hevc": "H.265 (HEVC)"}


def check_media(_: Examined) -> Iterator[Finding]:
    """Decoders, and each encoder that the renderer is set to."""
    remedy = "install PyAV from its wheels: pip install --force-reinstall --only-binary av av"
    for codec, name in _READ.items():
        if can_decode(codec):
            yield ok(f"decoder {name}", f"FFmpeg {ffmpeg_version()}")
        else:
            yield missing(f"decoder {name}", f"FFmpeg {ffmpeg_version()} has none", remedy)
    settings = RendererSettings()
    for kind, encoder in (("clips", settings.clips.encoder), ("films", settings.film.encoder)):
        yield looked(
            f"encoder of {kind}",
            lambda encoder=encoder: _encoded(encoder),  # type: ignore[misc]
            "set the renderer's encoder to one that this FFmpeg has, such as libx264 or libopenh264",
        )


def _encoded(settings: EncoderSettings) -> str:
    """Encode a second and look at it."""
    with tempfile.TemporaryDirectory(prefix="throughline-doctor-") as folder:
        path = Path(folder, "film.mp4")
        picture = np.full((128, 128, 3), 90, np.uint8)
        try:
            with Encoder(path, Size(128, 128), settings) as encoder:
                for tenth in range(10):
                    encoder.write(picture, tenth * NS_PER_SECOND // 10)
                encoder.close(NS_PER_SECOND)
        except (ValueError, OSError) as error:  # what FFmpeg's errors are
            raise FailedPrecondition(f"{settings.codec} does not work: {error}") from error
        found = probe(path)
        return f"{settings.codec} wrote {found.frame_count} frames of {found.format.codec}"
