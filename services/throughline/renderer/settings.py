"""What the renderer can be told, on top of what every service can."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from throughline.domain.time import NS_PER_MS, seconds_to_ns
from throughline.media.encode import EncoderSettings
from throughline.wire.settings import ServiceSettings


class DrawSettings(BaseModel):
    """What clips and films have in common."""

    model_config = ConfigDict(frozen=True)

    encoder: EncoderSettings = EncoderSettings()
    """Codec, preset and quality."""
    bridge_seconds: float = Field(default=0.5, ge=0, le=60)
    """Fragments of one camera at most this far apart are shown as one: nobody has to see a tile blink."""
    max_box_gap_seconds: float = Field(default=1.0, gt=0, le=60)
    """Between two boxes further apart than this none is drawn."""
    merge_ms: int = Field(default=67, ge=1, le=100)
    """Most milliseconds that a picture waits to change together with that of a faster camera: by default a frame at 15 frames/s."""

    @property
    def bridge_ns(self) -> int:
        return seconds_to_ns(self.bridge_seconds)

    @property
    def max_box_gap_ns(self) -> int:
        return seconds_to_ns(self.max_box_gap_seconds)

    @property
    def merge_ns(self) -> int:
        return self.merge_ms * NS_PER_MS


class ClipSettings(DrawSettings):
    """Clips of pairs."""

    encoder: EncoderSettings = EncoderSettings(preset="ultrafast", crf=27, threads=1)
    """As good as `veryfast` at 23 for a third of its time and half as many bytes more; several clips are encoded at once."""
    half_width: int = Field(default=640, ge=64, le=1920, multiple_of=2)
    """Width of each half in pixels."""
    half_height: int = Field(default=360, ge=64, le=1080, multiple_of=2)
    """Height of each half's picture in pixels; the caption comes below it."""
    limit_seconds: float = Field(default=20.0, ge=1, le=600)
    """Most seconds of one track that a clip shows, around the moment that shows the person best."""
    workers: int = Field(default=2, ge=1, le=64)
    """Clips rendered at once by one call."""

    @property
    def limit_ns(self) -> int:
        return seconds_to_ns(self.limit_seconds)


class FilmSettings(DrawSettings):
    """Films of a person's way."""

    bridge_seconds: float = Field(default=1.5, ge=0, le=60)
    """As for clips, but longer: whoever passes behind a shelf and comes out again has not left the camera."""
    still_seconds: float = Field(default=5.0, ge=0, le=60)
    """Longest absence of somebody who cannot have left the picture, since they stand about the same place within it afterwards."""
    before_seconds: float = Field(default=0.3, ge=0, le=60)
    """Shown before the first box of an appearance: the frames between those that were analysed, and those in which somebody was only
    half there."""
    after_seconds: float = Field(default=0.3, ge=0, le=60)
    """Shown after the last box of an appearance."""
    least_seconds: float = Field(default=0.0, ge=0, le=60)
    """Shorter appearances, from first to last box, are left out."""
    max_tiles: int = Field(default=9, ge=1, le=16)
    """Most cameras shown at once."""
    boxes: bool = False
    """Draw the person's boxes into the picture. Nothing is copied then: every frame is encoded anew."""
    captions: bool = False
    """Burn camera and time in, below each picture. Nothing is copied then."""
    merge_ms: int = Field(default=20, ge=1, le=100)
    """As for clips, but shorter: a film is evidence, and every camera's frame appears when it was taken."""
    max_width: int = Field(default=3840, ge=320, le=8192, multiple_of=2)
    """Most pixels across. Larger footage is made smaller, which copies nothing of it."""
    max_height: int = Field(default=2160, ge=180, le=8192, multiple_of=2)
    """Most pixels down, without the caption."""
    max_pictures: int = Field(default=60, ge=1, le=600)
    """Most appearances on the contact sheet, the first ones."""

    @property
    def still_ns(self) -> int:
        return seconds_to_ns(self.still_seconds)

    @property
    def before_ns(self) -> int:
        return seconds_to_ns(self.before_seconds)

    @property
    def after_ns(self) -> int:
        return seconds_to_ns(self.after_seconds)

    @property
    def least_ns(self) -> int:
        return seconds_to_ns(self.least_seconds)

    @property
    def composes(self) -> bool:
        """Whether every frame is drawn anew."""
        return self.boxes or self.captions


class RendererSettings(ServiceSettings):
    """Each of the two groups is given as JSON: THROUGHLINE_CLIPS='{"limit_seconds": 30}'."""

    clips: ClipSettings = ClipSettings()
    film: FilmSettings = FilmSettings()
