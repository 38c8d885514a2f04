"""From a video and its tracks to descriptors, through Triton; what was described before is not described again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import CorruptArtifact, FailedPrecondition, InvalidInput, NotFound
from throughline.domain.work import Incident, Work
from throughline.media.frame import Picture
from throughline.media.stills import frames_by_number
from throughline.perception.crops import crop_quality, cut
from throughline.perception.embed import Embedder
from throughline.perception.triton.card import ModelCard
from throughline.perception.triton.client import InferenceClient
from throughline.storage.manifest import artifact_key, describe_file
from throughline.tracker.identities.config import ReidConfig
from throughline.tracker.identities.descriptors import Described, made_of, read_described, write_described, write_meta
from throughline.tracker.identities.layout import Footage, VideoFolder, embeds_file, meta_file
from throughline.tracker.identities.samples import Sample, check_inside, chosen

REVISION = 1
"""Raise it when the same video and tracks would give other descriptors."""
_BLOCK = 2**20
_BLOCKS = 16
THUMBS_PER_TRACK = 2
_JPEG_QUALITY = 85
_META = (
    "video",
    "track_id",
    "class",
    "first_frame",
    "last_frame",
    "first_ns",
    "last_ns",
    "boxes",
    "samples",
    "mean_quality",
)


@dataclass(frozen=True)
class Describer:
    """Describes the tracks of videos below `root` with one model."""

    root: Path
    config: ReidConfig
    client: InferenceClient
    card: ModelCard

    def described(self, video: VideoFolder, footage: Footage, work: Work) -> tuple[Described, list[Incident], bool]:
        """The video's described tracks, what its user should know, and whether they were found ready.

        Descriptors that cannot be read are made anew. Raises InvalidInput where the video is missing or cannot be decoded.
        """
        path = self.root / embeds_file(video.name)
        source = video.picture_source()
        key = self._key(video, source)
        incidents: list[Incident] = []
        if made_of(path) == key:
            try:
                return read_described(path), incidents, True
            except CorruptArtifact as error:
                incidents.append(Incident("descriptors_rebuilt", video.name, f"{error}; made anew from {source}"))
        elif path.exists():
            incidents.append(
                Incident("descriptors_replaced", video.name, f"{path.name} was made of something else; made anew")
            )
        if not len(footage.rows.frames):
            described = _assembled(key, [], [], self.card.embedding_dim or 0)
        elif source is None:
            raise NotFound(
                f"{video.folder} has neither its source nor analysis.mp4 to cut crops from; put one of them there"
            )
        else:
            described = self._describe(source, footage, key, work)
        write_meta(self.root / meta_file(video.name), _META, _meta_lines(video, footage, described))
        write_described(path, described, self.config.backbone.dtype)
        return described, incidents, False

    def _key(self, video: VideoFolder, source: Path | None) -> str:
        return artifact_key(
            stage="identify",
            revision=REVISION,
            tracks=describe_file(video.tracks_csv).sha256,
            classes=video.class_names,
            video="" if source is None else fingerprint(source),
            model=self.card.digest,
            embed=self.config.embed.model_dump(mode="json", exclude={"batch_size"}),
            thumbnail_px=self.config.galleries.thumbnail_px,
            dtype=self.config.backbone.dtype,
        )

    def _describe(self, source: Path, footage: Footage, key: str, work: Work) -> Described:
        rows = footage.rows
        first = next(iter(frames_by_number(source, [0])), None)
        if first is None:
            raise InvalidInput(f"{source}: its first frame does not decode; give a video that plays")
        check_inside(rows, first[1].size, source)
        wanted = chosen(rows, first[1].size, self.config.embed)
        total = sum(map(len, wanted.values()))
        crops: list[tuple[Sample, float, bytes]] = []
        vectors: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []

        def take(crop: tuple[Sample, float, bytes], vector: NDArray[np.float32]) -> None:
            crops.append(crop)
            vectors.append(_unit(vector, self.card))
            work.report(len(crops), total, "crops")

        embedder = Embedder(self.client, self.config.embed.batch_size, take, work.check, self.card.name)
        try:
            for number, frame in frames_by_number(source, list(wanted)):
                for sample in wanted[number]:
                    pixels = cut(frame, sample.box)()
                    thumbnail = _thumbnail(pixels, self.config.galleries.thumbnail_px)
                    embedder.add((sample, crop_quality(sample.quality, pixels), thumbnail), pixels)
            embedder.finish()
        except BaseException:
            embedder.cancel()
            raise
        self.client.check_served(self.card)
        return _assembled(key, crops, vectors, self.card.embedding_dim or 0)


def check_backbone(card: ModelCard, config: ReidConfig) -> None:
    """Raise FailedPrecondition where the served model is none for crops, or of another size than the configuration says."""
    if card.kind != "reid":
        raise FailedPrecondition(f"backbone {card.name} is a {card.kind}; name a ReID model of the repository")
    wanted, takes = config.backbone.expected_size, (card.input_height, card.input_width)
    if wanted is not None and wanted != takes:
        raise FailedPrecondition(
            f"backbone {card.name} takes pictures of {takes[1]}x{takes[0]}, not the {wanted[1]}x{wanted[0]} of backbone.image_size; "
            "set that to the model's size, or build a model of this size"
        )


def fingerprint(path: Path) -> str:
    """Stands for a video's content: its size, and 16 MiB of it, spread from its beginning to its end. Cheap, however large it is."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for block in range(_BLOCKS):
            file.seek(max(0, size - _BLOCK) * block // (_BLOCKS - 1))
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()


def _unit(
    vector: np.ndarray[tuple[int], np.dtype[np.float32]], card: ModelCard
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    if not np.isfinite(vector).all() or not abs(float(np.linalg.norm(vector)) - 1) < 0.02:
        raise FailedPrecondition(
            f"backbone {card.name} gave a descriptor that is no unit vector; build it anew and look at its checks"
        )
    return vector


def _assembled(
    key: str,
    crops: list[tuple[Sample, float, bytes]],
    vectors: list[np.ndarray[tuple[int], np.dtype[np.float32]]],
    dimension: int,
) -> Described:
    order = sorted(range(len(crops)), key=lambda at: (crops[at][0].track_id, crops[at][0].frame))
    crops = [crops[at] for at in order]
    shown: dict[int, list[tuple[float, int]]] = {}
    for row, (sample, quality, _) in enumerate(crops):
        shown.setdefault(sample.track_id, []).append((-quality, row))
    kept = {row for rows in shown.values() for _, row in sorted(rows)[:THUMBS_PER_TRACK]}
    return Described(
        key,
        np.array([sample.track_id for sample, _, _ in crops], np.int64),
        np.array([sample.frame for sample, _, _ in crops], np.int64),
        np.array([quality for _, quality, _ in crops], np.float32),
        np.array([vectors[at] for at in order], np.float32).reshape(-1, dimension),
        tuple(thumb if row in kept else b"" for row, (_, _, thumb) in enumerate(crops)),
    )


def _thumbnail(crop: Picture, side_px: int) -> bytes:
    scale = min(1.0, side_px / max(crop.shape[:2]))
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    coded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return coded.tobytes()


def _meta_lines(video: VideoFolder, footage: Footage, described: Described) -> list[tuple[object, ...]]:
    lines: list[tuple[object, ...]] = []
    rows = footage.rows
    for number in np.unique(rows.track_ids).tolist():
        at = np.flatnonzero(rows.track_ids == number)
        samples = described.sample_qualities[described.sample_tracks == number]
        mean = f"{float(samples.mean()):.3f}" if len(samples) else ""
        frames, times = rows.frames[at], footage.times_ns[at]
        moments = (int(frames[0]), int(frames[-1]), int(times[0]), int(times[-1]))
        lines.append((video.name, number, rows.classes[int(at[0])], *moments, len(at), len(samples), mean))
    return lines
