"""From a video and its tracks to descriptors, through Triton; what was described before is not described again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import CorruptArtifact, DependencyUnavailable, FailedPrecondition, InvalidInput, NotFound
from throughline.domain.work import Incident, Work
from throughline.media.stills import frames_by_number
from throughline.perception.crops import Crop, crop_quality
from throughline.perception.embed import Embedder
from throughline.perception.triton.card import ModelCard
from throughline.perception.triton.client import InferenceClient
from throughline.storage.manifest import artifact_key, describe_file
from throughline.tracker.identities.config import ReidConfig
from throughline.tracker.identities.descriptors import Described, made_of, read_described, write_described
from throughline.tracker.identities.footage import Footage
from throughline.tracker.identities.layout import ANALYSIS_FILE, VideoFolder, embeds_file, meta_file, readable
from throughline.tracker.identities.meta import write_meta
from throughline.tracker.identities.samples import Sample, check_inside, chosen
from throughline.tracker.identities.taken import TakenCrops

REVISION = 3
"""Raise it when the same video and tracks would give other descriptors."""
_BLOCK = 2**20
_BLOCKS = 16
_NAMED = 5


@dataclass(frozen=True)
class Describer:
    """Describes the tracks of videos below `root` with one model."""

    root: Path
    config: ReidConfig
    client: InferenceClient
    card: ModelCard

    def described(self, video: VideoFolder, footage: Footage, work: Work) -> tuple[Described, list[Incident], bool]:
        """The video's described tracks, what its user should know, and whether they were found ready.

        Descriptors that cannot be read are made anew. Raises InvalidInput and NotFound where the video is missing or cannot be used.
        """
        path = self.root / embeds_file(video.name)
        source = video.picture_source()
        with readable(video.folder):
            key = self._key(video, source)
        incidents: list[Incident] = []
        described = _kept(path, key, video.name, incidents)
        is_ready = described is not None
        if described is None:
            described = self._made(video, source, footage, key, work)
            write_described(path, described, self.config.backbone.dtype)
        write_meta(self.root / meta_file(video.name), video, footage, described)
        incidents += _lost(video.name, footage, described)
        return described, incidents, is_ready

    def _made(self, video: VideoFolder, source: Path | None, footage: Footage, key: str, work: Work) -> Described:
        if not len(footage.rows.frames):
            return TakenCrops(0).described(key, self.card.embedding_dim or 0, self.config.backbone.dtype, [])
        if source is None:
            raise NotFound(
                f"{video.folder} has neither its source nor {ANALYSIS_FILE} to cut crops from; put one of them there"
            )
        with readable(source):
            return self._describe(source, footage, key, work)

    def _key(self, video: VideoFolder, source: Path | None) -> str:
        return artifact_key(
            stage="identify",
            revision=REVISION,
            tracks=describe_file(video.tracks_csv).sha256,
            classes=video.class_names,
            corners=video.corners,
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
        taken = TakenCrops(self.config.galleries.thumbnail_px)

        def take(crop: tuple[Sample, float], vector: NDArray[np.float32]) -> None:
            taken.take(*crop, _unit(vector, self.card))
            work.report(len(taken), total, "crops")

        with _served():
            embedder = Embedder(self.client, self.config.embed.batch_size, take, work.check, self.card.name)
        lost = dict.fromkeys(wanted)
        try:
            for number, frame in frames_by_number(source, list(wanted)):
                del lost[number]
                for sample in wanted[number]:
                    pixels = Crop(frame, sample.box)()
                    quality = crop_quality(sample.quality, pixels)
                    taken.show(sample, quality, pixels)
                    with _served():
                        embedder.add((sample, quality), pixels)
            with _served():
                embedder.finish()
        except BaseException:
            embedder.cancel()
            raise
        with _served():
            self.client.check_served(self.card)
        return taken.described(key, self.card.embedding_dim or 0, self.config.backbone.dtype, list(lost))


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


@contextmanager
def _served() -> Iterator[None]:
    """What the server refuses is wrong with the model, and with no video."""
    try:
        yield
    except (InvalidInput, NotFound) as error:
        raise DependencyUnavailable(str(error)) from error


def _unit(vector: NDArray[np.float32], card: ModelCard) -> NDArray[np.float32]:
    if not np.isfinite(vector).all() or not abs(float(np.linalg.norm(vector)) - 1) < 0.02:
        raise FailedPrecondition(
            f"backbone {card.name} gave a descriptor that is no unit vector; build it anew and look at its checks"
        )
    return vector


def _kept(path: Path, key: str, name: str, incidents: list[Incident]) -> Described | None:
    """The descriptors of an earlier run, where they are of the same; None, and why, where they are not."""
    try:
        found = made_of(path)
        if found == key:
            return read_described(path)
    except CorruptArtifact as error:
        incidents.append(Incident("descriptors_rebuilt", name, f"{error}; made anew"))
        return None
    if found:
        incidents.append(Incident("descriptors_replaced", name, f"{path.name} was made of something else; made anew"))
    return None


def _lost(name: str, footage: Footage, described: Described) -> Iterator[Incident]:
    """Tell of frames that did not decode, and of tracks that are left without a crop by that."""
    lost = described.lost_frames
    if len(lost):
        ids = footage.rows.track_ids
        bare = np.setdiff1d(ids[np.isin(footage.rows.frames, lost)], described.sample_tracks).tolist()
        named = ", ".join(map(str, bare[:_NAMED])) + (f" and {len(bare) - _NAMED} more" if len(bare) > _NAMED else "")
        cost = f"tracks {named} have no crop by that, and stay alone" if bare else "their tracks have other crops"
        message = f"frames to cut crops from that do not decode: {len(lost)}, the first of them frame {lost[0]}; {cost}"
        yield Incident("crops_missing", name, message)
