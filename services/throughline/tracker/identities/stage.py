"""The stage that gives identities to all tracks of many reels, kept in the workspace."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from throughline.domain.calibration import Calibration
from throughline.domain.errors import Conflict, InvalidInput
from throughline.domain.work import Work
from throughline.perception.detect import PERSON
from throughline.perception.triton.card import ModelCard
from throughline.perception.triton.client import REID, InferenceClient
from throughline.storage.pictures import StoredPicture
from throughline.storage.workspace import Artifact, Workspace, artifact_key
from throughline.tracker.artifacts import CameraTracks
from throughline.tracker.identities.associate import associate, least_cosine
from throughline.tracker.identities.config import Associate, ReidConfig
from throughline.tracker.identities.constraints import Rules
from throughline.tracker.identities.galleries import Shown, picks, write_galleries
from throughline.tracker.identities.layout import REPORT_FILE
from throughline.tracker.identities.outputs import Made, outcome, write_outcome
from throughline.tracker.identities.report import write_report
from throughline.tracker.identities.stable import numbered
from throughline.tracker.identities.tracks import Tracks, Video, VideoTracks, gathered
from throughline.tracker.rank_stage import check_models

STAGE_REVISION = 2
"""Raise it when the same tracks would give other identities, or ways between cameras."""
REELS_FILE = "reels.json"
_REQUEST_FILE = "request.json"
_PICTURES_PER_TRACK = 2


def identity_rules(least: float, scale: Literal["calibrated", "cosine"]) -> Associate:
    """Rules with the least similarity that was asked for; raise InvalidInput where it is none."""
    if not 0 <= least <= 1:
        raise InvalidInput(f"similarity threshold {least:g}; give 0 to 1")
    return Associate(min_sim=least, scale=scale)


class IdentifyStage:
    """Makes identities artifacts; safe to use from several threads."""

    def __init__(self, workspace: Workspace, client: InferenceClient) -> None:
        self._workspace = workspace
        self._client = client

    def run(self, request_id: str, cameras: Sequence[CameraTracks], settings: Associate, work: Work) -> Artifact:
        """The identities of all tracks of `cameras`. Raises Conflict where the request's name was used for other ones."""
        if not request_id or not cameras:
            what, advice = (
                ("cameras", "the tracks to join") if request_id else ("request_id", "a name for this request")
            )
            raise InvalidInput(f"{what}: is empty; give {advice}")
        twice = [key for key, count in Counter(each.artifact.key for each in cameras).items() if count > 1]
        if twice:
            raise InvalidInput(f"cameras: tracks {twice[0]} stand there twice; give each once")
        card = self._client.model(REID)
        check_models(card.digest, cameras)
        least_cosine(settings, card.calibration)
        key = _key(cameras, settings, card)
        self._remember(request_id, key)
        folder = f"identities/{key}"
        with self._workspace.claim(folder, lambda: work.report(0, 0, "tracks compared")) as ready:
            if ready is None:
                with self._workspace.create(folder) as place:
                    _make(place, cameras, ReidConfig(associate=settings), card, work)
        return ready or self._workspace.get(folder)

    def _remember(self, request_id: str, key: str) -> None:
        """Note what the request's name stands for."""
        folder = f"identities_asked/{hashlib.sha256(request_id.encode()).hexdigest()[:32]}"
        if self._workspace.find(folder) is None:
            with self._workspace.create(folder) as place:
                (place / _REQUEST_FILE).write_text(json.dumps({"request_id": request_id, "identities": key}) + "\n")
        asked = json.loads(self._workspace.get(folder).path(_REQUEST_FILE).read_bytes())
        if asked["identities"] != key:
            raise Conflict(
                f"request {request_id} has asked for other identities already; give this one another request_id"
            )


def _key(cameras: Sequence[CameraTracks], settings: Associate, card: ModelCard) -> str:
    calibration: Calibration | None = card.calibration
    return artifact_key(
        stage="identities",
        revision=STAGE_REVISION,
        tracks=sorted([each.camera, each.artifact.key, repr(each.clock)] for each in cameras),
        settings=settings.model_dump(mode="json"),
        reid=card.digest,
        calibration="" if calibration is None else calibration.digest,
    )


def _make(place: Path, cameras: Sequence[CameraTracks], config: ReidConfig, card: ModelCard, work: Work) -> None:
    by_name = dict(zip(_names(cameras), cameras, strict=True))
    tracks = gathered([_video_tracks(name, each, card.embedding_dim or 0) for name, each in by_name.items()])
    found = associate(tracks, config.associate, Rules(), card.calibration, work)
    numbers = numbered(found.clusters, tracks.keys, {}, 1)
    result = outcome(tracks, found, numbers.ids, Made(config, card, ()))
    write_outcome(place, result)
    reels = {
        name: {"camera": each.camera, "tracks": each.artifact.uri, "reel_key": each.summary.reel_key}
        for name, each in by_name.items()
    }
    (place / REELS_FILE).write_text(json.dumps(reels, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    picked = picks(tracks, numbers.ids, _qualities(tracks, by_name), config.galleries.per_identity, _PICTURES_PER_TRACK)

    def pictures(video: int, wanted: set[int]) -> Shown:
        return _pictures(by_name[tracks.videos[video].name], wanted)

    write_report(place / REPORT_FILE, result, write_galleries(place, tracks, picked, pictures))


def _names(cameras: Sequence[CameraTracks]) -> list[str]:
    """The camera's name, with a part of the tracks' key where it stands for several reels."""
    count = Counter(each.camera for each in cameras)
    return [each.camera if count[each.camera] == 1 else f"{each.camera} {each.artifact.key[:12]}" for each in cameras]


def _video_tracks(name: str, camera: CameraTracks, dimension: int) -> VideoTracks:
    extents = camera.extents()
    ids, descriptors = camera.embeddings().descriptors()
    vectors = np.zeros((len(extents.ids), dimension), np.float32)
    vectors[np.searchsorted(extents.ids, ids)] = descriptors
    columns = zip(extents.ids.tolist(), extents.starts_ns.tolist(), extents.ends_ns.tolist(), strict=True)
    spans = [camera.span(number, start, end).span for number, start, end in columns]
    return VideoTracks(
        video=Video(name, camera.camera),
        numbers=extents.ids,
        class_names=(PERSON,) * len(extents.ids),
        starts_ns=np.array([span.start.ns for span in spans], np.int64),
        ends_ns=np.array([span.end.ns for span in spans], np.int64),
        box_counts=extents.box_counts,
        vectors=vectors,
    )


def _qualities(tracks: Tracks, by_name: Mapping[str, CameraTracks]) -> NDArray[np.float64]:
    """(n,) of each track's best presentable crop."""
    best = np.zeros(len(tracks), np.float64)
    for place, video in enumerate(tracks.videos):
        own = np.flatnonzero(tracks.video == place)
        embeddings = by_name[video.name].embeddings()
        shown = embeddings.presentable
        rows = own[np.searchsorted(tracks.numbers[own], embeddings.track_ids[shown])]
        np.maximum.at(best, rows, embeddings.qualities[shown])
    return best


def _pictures(camera: CameraTracks, wanted: set[int]) -> Shown:
    embeddings = camera.embeddings()
    shown: dict[int, list[bytes]] = {}
    for row in np.argsort(-embeddings.qualities, kind="stable").tolist():
        number = int(embeddings.track_ids[row])
        if embeddings.presentable[row] and number in wanted and len(shown.setdefault(number, [])) < _PICTURES_PER_TRACK:
            shown[number].append(StoredPicture(camera.artifact, embeddings.crops[row]).read())
    return shown
