"""Files of numpy arrays, which may be broken in all the ways that numpy and zipfile have an error for."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from throughline.domain.errors import CorruptArtifact

_BROKEN = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    EOFError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)
"""Of files that are cut off, overwritten, encrypted, compressed in unknown ways, or no arrays at all."""


@contextmanager
def unbroken(path: Path, advice: str = "") -> Iterator[None]:
    """Raise CorruptArtifact, with what to do if that is given, where the block cannot read the file at `path` as arrays."""
    try:
        yield
    except _BROKEN as error:
        raise CorruptArtifact(f"{path} cannot be read: {error}{advice and '; '}{advice}") from error
