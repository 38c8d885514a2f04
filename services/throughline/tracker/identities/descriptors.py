"""What is kept of a video's described tracks: embeddings/<video>_track_embeds.npz."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import CorruptArtifact
from throughline.domain.tracks import TrackEmbeddings
from throughline.storage.arrays import unbroken
from throughline.storage.partial import whole_file

_ARRAYS = {
    "made_of": ("U", 0),
    "sample_tracks": ("i", 1),
    "sample_frames": ("i", 1),
    "sample_qualities": ("f", 1),
    "samples": ("f", 2),
    "thumbs": ("u", 1),
    "thumb_ends": ("i", 1),
    "lost_frames": ("i", 1),
}
"""What is read of an .npz: kind of type, and dimensions."""
_UNIT = 0.02


@dataclass(frozen=True)
class Described:
    """The crops of one video's tracks, rows in order of (track, frame).

    made_of: digest of all that they were made of; sample_tracks, sample_frames: (m,) int64; sample_qualities: (m,) float32 in 0..1;
    samples: (m, d) float32 unit vectors; thumbs: m small pictures, JPEG, empty where none is kept; lost_frames: those that
    crops were to be cut from, and did not decode.
    """

    made_of: str
    sample_tracks: NDArray[np.int64]
    sample_frames: NDArray[np.int64]
    sample_qualities: NDArray[np.float32]
    samples: NDArray[np.float32]
    thumbs: tuple[bytes, ...]
    lost_frames: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def descriptors(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(t,) track ids and their (t, d) descriptors: unit means of the crops' vectors weighted by quality."""
        times = self.sample_frames
        clear = np.ones(len(self.samples), bool)
        return TrackEmbeddings(self.samples, self.sample_tracks, times, self.sample_qualities, clear, ()).descriptors()


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
            lost_frames=described.lost_frames,
        )


def made_of(path: Path) -> str:
    """The digest that an .npz carries; empty where there is no such file. Raise CorruptArtifact where it cannot be read."""
    return str(_arrays(path, ("made_of",))["made_of"]) if path.exists() else ""


def read_described(path: Path) -> Described:
    """Read an .npz; raise CorruptArtifact where it is broken, or holds values that are no unit vectors."""
    got = _arrays(path, _ARRAYS)
    count = len(got["sample_tracks"])
    samples = got["samples"].astype(np.float32)
    if samples.ndim != 2 or not count == len(samples) == len(got["sample_frames"]) == len(got["sample_qualities"]):
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
        got["sample_tracks"],
        got["sample_frames"],
        got["sample_qualities"],
        samples,
        tuple(_pictures(path, got, range(count))),
        got["lost_frames"],
    )


def read_thumbs(path: Path, wanted: Collection[int]) -> dict[int, list[bytes]]:
    """Small pictures of the tracks `wanted`, the best first; nothing else stays in memory. Raise CorruptArtifact for a broken file."""
    got = _arrays(path, ("sample_tracks", "sample_qualities", "thumbs", "thumb_ends"))
    best = np.argsort(-got["sample_qualities"], kind="stable")
    best = best[np.isin(got["sample_tracks"][best], list(wanted))]
    shown: dict[int, list[bytes]] = {}
    pictures = _pictures(path, got, best.tolist())
    for number, picture in zip(got["sample_tracks"][best].tolist(), pictures, strict=True):
        if picture:
            shown.setdefault(number, []).append(picture)
    return shown


def _arrays(path: Path, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz by name; raise CorruptArtifact where it is broken, or they are of another type."""
    with unbroken(path), np.load(path, allow_pickle=False) as arrays:
        got = {name: arrays[name] for name in names}
    wrong = [name for name, array in got.items() if _type_of(array) != _ARRAYS[name]]
    if wrong:
        raise CorruptArtifact(f"{path}: {', '.join(wrong)} are of another type than descriptors have")
    return got


def _type_of(content: NDArray[Any] | bytes) -> tuple[str, int]:
    """Kind and dimensions of an array; numpy gives members of an archive that are none as bytes."""
    return ("", 0) if isinstance(content, bytes) else (content.dtype.kind, content.ndim)


def _pictures(path: Path, got: Mapping[str, NDArray[Any]], rows: Iterable[int]) -> Iterator[bytes]:
    """The pictures of some crops."""
    thumbs, ends = got["thumbs"], got["thumb_ends"]
    edges = np.concatenate([np.zeros(1, np.int64), ends])
    if len(ends) != len(got["sample_tracks"]) or (np.diff(edges) < 0).any() or edges[-1] != len(thumbs):
        raise CorruptArtifact(f"{path}: its pictures are not those of its crops")
    for row in rows:
        yield thumbs[edges[row] : edges[row + 1]].tobytes()
