"""What one film is asked to look like, on top of what the renderer is set to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from throughline.renderer.settings import FilmSettings


@dataclass(frozen=True, slots=True)
class FilmOptions:
    """Settings of films, by their names there; None leaves one as it is."""

    boxes: bool | None = None
    captions: bool | None = None
    before_seconds: float | None = None
    after_seconds: float | None = None
    least_seconds: float | None = None
    bridge_seconds: float | None = None
    max_tiles: int | None = None
    max_height: int | None = None

    @property
    def given(self) -> dict[str, Any]:
        """What is asked for, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def over(self, settings: FilmSettings) -> FilmSettings:
        """The settings with what is asked for; raise pydantic's ValidationError where that is beyond its limits."""
        return FilmSettings.model_validate(settings.model_dump() | self.given)


NOTHING = FilmOptions()
"""As the renderer is set."""
