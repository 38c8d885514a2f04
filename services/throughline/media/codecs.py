"""What the FFmpeg that PyAV carries can do."""

from __future__ import annotations

import av


def ffmpeg_version() -> str:
    return av.ffmpeg_version_info


def can_decode(codec: str) -> bool:
    """Whether there is a decoder of FFmpeg's name `codec`."""
    try:
        return av.codec.Codec(codec, "r").is_decoder
    except ValueError:
        return False
