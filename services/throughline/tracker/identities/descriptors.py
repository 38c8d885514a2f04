"""What is kept of a video's described tracks: embeddings/<video>_track_embeds.npz and <video>_track_meta.csv."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import CorruptArtifact
from throughline.domain.tracks import TrackEmbeddings
from throughline.storage.partial import whole_file

_ARRAYS = (
    "made_of",
    "track_ids",
    "embeds",
    "sample_tracks",
    "sample_frames",
    "sample_qualities",
    "samples",
    "thumbs",
    "thumb_ends",
)
_UNIT = 0.02


@dataclass(frozen=True)
class Described:
    """The crops of one video's tracks, rows in order of (track, frame).

    made_of: digest of all that they were made of; sample_tracks, sample_frames: (m,) int64; sample_qualities: (m,) float32 in 0..1;
    samples: (m, d) float32 unit vectors; thumbs: m small pictures, JPEG, empty where none is kept.
    """

    made_of: str
    sample_tracks: NDArray[np.int64]
    sample_frames: NDArray[np.int64]
    sample_qualities: NDArray[np.float32]
    samples: NDArray[np.float32]
    thumbs: tuple[bytes, ...]

    def descriptors(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(t,) track ids and their (t, d) descriptors: unit means of the crops' vectors weighted by quality."""
        times = self.sample_frames
        return TrackEmbeddings(self.samples, self.sample_tracks, times, self.sample_qualities, ()).descriptors()


def write_described(path: Path, described: Described, dtype: str) -> None:
    """Write the .npz; vectors are kept as `dtype`. It appears whole or not at all."""
    ids, embeds = described.descriptors()
    thumbs = np.frombuffer(b"".join(described.thumbs), np.uint8)
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            made_of=np.array(described.made_of),
            track_ids=ids,
            embeds=embeds.astype(dtype),
            sample_tracks=described.sample_tracks,
            sample_frames=described.sample_frames,
            sample_qualities=described.sample_qualities,
            samples=described.samples.astype(dtype),
            thumbs=thumbs,
            thumb_ends=np.cumsum([len(each) for each in described.thumbs], dtype=np.int64),
        )


def made_of(path: Path) -> str:
    """The digest that an .npz carries; empty where there is no such file, or none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return str(arrays["made_of"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return ""


def read_described(path: Path) -> Described:
    """Read an .npz; raise CorruptArtifact where it is broken, or holds values that are no unit vectors."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in _ARRAYS if name not in arrays]
            if missing:
                raise CorruptArtifact(f"{path} lacks {', '.join(missing)}")
            got = {name: arrays[name] for name in _ARRAYS}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise CorruptArtifact(f"{path} cannot be read: {error}") from error
    samples = np.asarray(got["samples"], np.float32)
    count = len(got["sample_tracks"])
    if samples.ndim != 2 or not count == len(samples) == len(got["thumb_ends"]) == len(got["sample_qualities"]):
        raise CorruptArtifact(f"{path}: its arrays are not equally long")
    lengths = np.linalg.norm(samples, axis=1)
    if not (
        np.isfinite(lengths).all()
        and (np.abs(lengths - 1) < _UNIT).all()
        and np.isfinite(got["sample_qualities"]).all()
    ):
        wrong = int((~(np.abs(lengths - 1) < _UNIT)).sum())
        raise CorruptArtifact(f"{path}: {wrong} of {count} vectors are not of length 1, or not numbers")
    return Described(
        str(got["made_of"]),
        got["sample_tracks"].astype(np.int64),
        got["sample_frames"].astype(np.int64),
        got["sample_qualities"].astype(np.float32),
        samples,
        _pictures(got["thumbs"], got["thumb_ends"]),
    )


def read_thumbs(path: Path) -> dict[int, list[bytes]]:
    """Small pictures by track, the best first; raise CorruptArtifact where the file is broken."""
    described = read_described(path)
    shown: dict[int, list[bytes]] = {}
    for row in np.argsort(-described.sample_qualities, kind="stable").tolist():
        if described.thumbs[row]:
            shown.setdefault(int(described.sample_tracks[row]), []).append(described.thumbs[row])
    return shown


def _pictures(content: NDArray[np.uint8], ends: NDArray[np.int64]) -> tuple[bytes, ...]:
    whole, starts = content.tobytes(), [0, *ends.tolist()[:-1]]
    return tuple(whole[start:end] for start, end in zip(starts, ends.tolist(), strict=True))


def write_meta(path: Path, header: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Write a table for people and other tools; it appears whole or not at all."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(lines)
