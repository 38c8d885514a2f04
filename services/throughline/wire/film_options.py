"""What a caller may ask of a film, checked alike where a job is taken and where the film is made."""

from __future__ import annotations

from collections.abc import Iterator

from throughline.v1.orchestrator_pb2 import FilmOptions

_SECONDS = ("before_seconds", "after_seconds", "least_seconds", "merge_seconds")
_LONGEST = 60
MOST_TILES = 16
_LEAST_HEIGHT, _MOST_HEIGHT = 180, 8192


def film_problems(options: FilmOptions) -> Iterator[str]:
    """What is wrong with them, each with its field and what was expected."""
    for name in _SECONDS:
        seconds = getattr(options, name)
        if not 0 <= seconds <= _LONGEST:
            yield f"{name}: is {seconds}; expected 0 to {_LONGEST}"
    if options.HasField("max_tiles") and not 1 <= options.max_tiles <= MOST_TILES:
        yield f"max_tiles: is {options.max_tiles}; expected 1 to {MOST_TILES}"
    height = options.max_height
    if options.HasField("max_height") and (not _LEAST_HEIGHT <= height <= _MOST_HEIGHT or height % 2):
        yield f"max_height: is {height}; expected an even number, {_LEAST_HEIGHT} to {_MOST_HEIGHT}"
