"""`throughline identify ROOT`: descriptors, identities, and everything that is written below ROOT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.domain.calibration import Calibration
from throughline.domain.errors import InvalidInput
from throughline.domain.names import known
from throughline.domain.time import seconds_to_ns
from throughline.domain.topology import Topology
from throughline.domain.work import Incident, Work
from throughline.perception.triton.client import InferenceClient
from throughline.storage import documents
from throughline.storage.claims import file_claim
from throughline.storage.manifest import artifact_key, describe_file
from throughline.tracker.identities.associate import associate
from throughline.tracker.identities.config import ReidConfig
from throughline.tracker.identities.constraints import Rules
from throughline.tracker.identities.descriptors import Described, read_thumbs
from throughline.tracker.identities.embedding import THUMBS_PER_TRACK, Describer, check_backbone
from throughline.tracker.identities.galleries import picks, write_galleries
from throughline.tracker.identities.gate import topology_gate
from throughline.tracker.identities.history import History, Run, read_history, read_map
from throughline.tracker.identities.layout import (
    GALLERIES_FOLDER,
    HISTORY_FILE,
    REPORT_FILE,
    VideoFolder,
    embeds_file,
    find_videos,
    read_footage,
)
from throughline.tracker.identities.outputs import Made, Outcome, outcome, write_outcome
from throughline.tracker.identities.per_video import write_video
from throughline.tracker.identities.publish import finish_publishing, published
from throughline.tracker.identities.report import write_report
from throughline.tracker.identities.spans import video_tracks
from throughline.tracker.identities.stable import Numbered, numbered
from throughline.tracker.identities.tracks import Tracks, VideoTracks, gathered
from throughline.wire.topology_document import parse_topology

CLAIM_FILE = ".identities.claim"
REPLACED = (GALLERIES_FOLDER,)


@dataclass(frozen=True)
class Found:
    """A run's outcome, and how many videos' descriptors were found ready."""

    outcome: Outcome
    numbered: Numbered
    reused: int


def identify(root: Path, config: ReidConfig, client: InferenceClient, work: Work) -> Found:
    """Identify everybody below `root` and write it there. One process at a time does so; others wait.

    Raises NotFound and InvalidInput for what is wrong with the folder or the files in it, FailedPrecondition for a model that does
    not fit. What is written changes as a whole, or not at all.
    """
    card = client.model(config.backbone.name)
    check_backbone(card, config)
    topology = read_topology(config)
    videos = find_videos(root)
    with file_claim(root / CLAIM_FILE, work.check):
        finish_publishing(root, REPLACED)
        describer = Describer(root, config, client, card)
        gathering = _Gathering(describer, work)
        for video in videos:
            gathering.add(video)
        tracks = gathered(gathering.parts)
        rules, incidents = rules_of(config, topology, tracks)
        found = associate(tracks, config.associate, rules, card.calibration, work)
        history, before = read_history(root), read_map(root)
        numbers = numbered(found.clusters, tracks.keys, before, history.next_id)
        made = Made(config, card, (*gathering.incidents, *incidents))
        result = outcome(tracks, found, numbers.ids, made)
        asked = _asked(gathering.made_of, config, card.calibration)
        _write(root, result, gathering, _continued(history, asked, result, numbers, videos))
    return Found(result, numbers, gathering.reused)


def read_topology(config: ReidConfig) -> Topology | None:
    """The topology that the configuration names; raise InvalidInput where it cannot be read."""
    path = config.associate.topology
    if path is None:
        return None
    try:
        return parse_topology(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"associate.topology: {path} cannot be read: {error}") from error


def rules_of(config: ReidConfig, topology: Topology | None, tracks: Tracks) -> tuple[Rules, list[Incident]]:
    """The rules for tracks, and what is to be known of the topology. Raise InvalidInput where it knows none of the cameras."""
    settings, incidents, gate = config.associate, [], None
    if topology is not None:
        cameras = sorted({video.camera for video in tracks.videos})
        missing = topology.missing(cameras)
        if missing and not topology.cameras & set(cameras):
            raise InvalidInput(f"associate.topology names {', '.join(missing[:5])}; {known(missing[0], cameras)}")
        incidents = [
            Incident(
                "topology_camera_unknown",
                camera,
                f"the topology names camera {camera!r}, and no video is of it; {known(camera, cameras)}",
            )
            for camera in missing
        ]
        untimed = [video.name for video in tracks.videos if not video.is_timed]
        if untimed:
            message = "its summary.json has no start, so that transit times cannot be applied to it; give it one"
            incidents += [Incident("topology_untimed", name, message) for name in untimed]
        gate = topology_gate(topology, tracks)
    overlap_ns = seconds_to_ns(settings.max_same_video_time_overlap)
    return Rules(settings.same_class_only, settings.allow_merge_same_video, overlap_ns, gate), incidents


class _Gathering:
    """Takes video after video; keeps of each its tracks in short, not its crops."""

    def __init__(self, describer: Describer, work: Work) -> None:
        self.parts: list[VideoTracks] = []
        self.incidents: list[Incident] = []
        self.made_of: dict[str, str] = {}
        self.folders: dict[str, VideoFolder] = {}
        self.best: dict[tuple[str, int], float] = {}
        """Quality of the best crop of each track."""
        self.reused = 0
        self._describer = describer
        self._work = work

    def add(self, video: VideoFolder) -> None:
        footage = read_footage(video)
        described, incidents, is_ready = self._describer.described(video, footage, self._work)
        ids, vectors = described.descriptors()
        by_number: Mapping[int, NDArray[np.float32]] = dict(zip(ids.tolist(), vectors, strict=True))
        class_filter = self._describer.config.embed.class_filter
        part = video_tracks(video, footage, class_filter, by_number, self._describer.card.embedding_dim or 0)
        self.parts.append(part)
        self.incidents += incidents
        if not len(part.numbers):
            self.incidents.append(Incident("video_without_tracks", video.name, "no tracks are in its tracks.csv"))
        self.made_of[video.name] = described.made_of
        self.folders[video.name] = video
        self.reused += is_ready
        self._note_qualities(video.name, described)

    def _note_qualities(self, name: str, described: Described) -> None:
        qualities = described.sample_qualities.tolist()
        for number, quality in zip(described.sample_tracks.tolist(), qualities, strict=True):
            self.best[name, number] = max(quality, self.best.get((name, number), 0.0))


def _write(root: Path, found: Outcome, gathering: _Gathering, history: History) -> None:
    tracks, settings = found.tracks, found.made.config.galleries
    qualities = np.array([gathering.best.get(key, 0.0) for key in tracks.keys], np.float64)
    picked = picks(tracks, found.ids, qualities, settings.per_identity, THUMBS_PER_TRACK)
    with published(root, REPLACED) as stage:
        write_outcome(stage, found)
        (stage / GALLERIES_FOLDER).mkdir()
        pictures = write_galleries(
            stage, tracks, picked, lambda place: read_thumbs(root / embeds_file(tracks.videos[place].name))
        )
        write_report(stage / REPORT_FILE, found, pictures)
        (stage / HISTORY_FILE).write_bytes(documents.dump(history))
        for name, video in gathering.folders.items():
            write_video(stage / name, name, read_footage(video), found)


def _continued(history: History, asked: str, found: Outcome, numbers: Numbered, videos: list[VideoFolder]) -> History:
    """The history with this run; as it was where nothing had changed since the last one."""
    names = tuple(sorted(video.name for video in videos))
    if history.runs and history.runs[-1].asked == asked:
        return history
    run = Run(
        number=len(history.runs) + 1,
        asked=asked,
        tracks=len(found.tracks),
        identities=found.identity_count,
        added_videos=tuple(sorted(set(names) - set(history.videos))),
        removed_videos=tuple(sorted(set(history.videos) - set(names))),
        merges=numbers.merges,
        splits=numbers.splits,
    )
    return History(numbers.next_id, names, (*history.runs, run))


def _asked(made_of: Mapping[str, str], config: ReidConfig, calibration: Calibration | None) -> str:
    """Stands for all that identities depend on."""
    topology = config.associate.topology
    return artifact_key(
        descriptors=dict(made_of),
        associate=config.associate.model_dump(mode="json", exclude={"topology"}),
        topology="" if topology is None else describe_file(topology).sha256,
        calibration="" if calibration is None else calibration.digest,
    )
