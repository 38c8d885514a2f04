"""What makes a folder an artifact: the list of its files, and the key that stands for everything that made it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file of an artifact. `stored_as` is its path below the folder where that is not its name."""

    size_bytes: int
    sha256: str
    stored_as: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every file of an artifact by its path below the folder, in order."""

    files: Mapping[str, ManifestFile]


def artifact_key(**inputs: Any) -> str:
    """32 hexadecimal digits that stand for `inputs`, whatever their order: what JSON can say, compared by content."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def describe(folder: Path) -> Manifest:
    """The manifest of all files below a local folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return Manifest({path.relative_to(folder).as_posix(): describe_file(path) for path in paths})


def describe_file(path: Path) -> ManifestFile:
    """Size and digest of one local file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ManifestFile(path.stat().st_size, digest)


def describe_bytes(data: bytes) -> ManifestFile:
    """Size and digest of content."""
    return ManifestFile(len(data), hashlib.sha256(data).hexdigest())
