"""`throughline identify ROOT`: descriptors, identities, and everything that is written below ROOT."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from throughline.domain.calibration import Calibration
from throughline.domain.errors import InvalidInput
from throughline.domain.names import known
from throughline.domain.time import seconds_to_ns
from throughline.domain.topology import Topology
from throughline.domain.work import Incident, Work
from throughline.perception.triton.client import InferenceClient
from throughline.storage import documents
from throughline.storage.manifest import artifact_key, describe_file
from throughline.tracker.identities.associate import associate
from throughline.tracker.identities.config import ReidConfig
from throughline.tracker.identities.constraints import Rules
from throughline.tracker.identities.descriptors import read_thumbs
from throughline.tracker.identities.embedding import Describer, check_backbone
from throughline.tracker.identities.footage import read_footage
from throughline.tracker.identities.galleries import picks, write_galleries
from throughline.tracker.identities.gate import topology_gate
from throughline.tracker.identities.gathering import Gathering
from throughline.tracker.identities.history import History, Run, away, read_history, read_map
from throughline.tracker.identities.layout import (
    GALLERIES_FOLDER,
    HISTORY_FILE,
    REPORT_FILE,
    check_outputs,
    embeds_file,
    video_folders,
)
from throughline.tracker.identities.outputs import Made, Outcome, outcome, write_outcome
from throughline.tracker.identities.per_video import write_video
from throughline.tracker.identities.publish import claimed, finish_publishing, published
from throughline.tracker.identities.report import write_report
from throughline.tracker.identities.stable import Numbered, numbered
from throughline.tracker.identities.taken import THUMBS_PER_TRACK
from throughline.tracker.identities.tracks import Tracks, gathered
from throughline.wire.topology_document import parse_topology

REPLACED = (GALLERIES_FOLDER,)


@dataclass(frozen=True)
class Found:
    """A run's outcome, how many videos' descriptors were found ready, and why which videos were left out."""

    outcome: Outcome
    numbered: Numbered
    reused: int
    skipped: Mapping[str, str]


def identify(root: Path, config: ReidConfig, client: InferenceClient, work: Work, *, strict: bool = False) -> Found:
    """Identify everybody below `root` and write it there. One process at a time does so; others wait.

    Videos that cannot be used are left out. Raises NotFound and InvalidInput for what is wrong with the folder or all videos in it
    (with `strict`, with any), FailedPrecondition for a model that does not fit. What is written changes as a whole, or not at all.
    """
    card = client.model(config.backbone.name)
    check_backbone(card, config)
    topology = read_topology(config)
    folders = video_folders(root)
    check_outputs(root)
    with claimed(root, work.check):
        finish_publishing(root, REPLACED)
        gathering = Gathering(Describer(root, config, client, card), work, strict=strict)
        for folder in folders:
            gathering.add(folder)
        if not gathering.folders:
            name, problem = next(iter(gathering.skipped.items()))
            raise InvalidInput(f"none of the {len(folders)} videos below {root} can be used; {name}: {problem}")
        tracks = gathered(gathering.parts)
        rules, incidents = rules_of(config, topology, tracks)
        found = associate(tracks, config.associate, rules, card.calibration, work)
        history = read_history(root)
        before = {**history.away_ids, **read_map(root)}
        numbers = numbered(found.clusters, tracks.keys, before, history.next_id)
        made = Made(config, card, (*gathering.incidents, *incidents), gathering.skipped)
        result = outcome(tracks, found, numbers.ids, made)
        asked = _asked(tracks, gathering.made_of, config, card.calibration)
        history = replace(
            _continued(history, asked, result, numbers, gathering.skipped), away=away(before, gathering.skipped)
        )
        _write(root, result, gathering, history)
    return Found(result, numbers, gathering.reused, gathering.skipped)


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


def _write(root: Path, found: Outcome, gathering: Gathering, history: History) -> None:
    tracks, settings = found.tracks, found.made.config.galleries
    qualities = np.array([gathering.best.get(key, 0.0) for key in tracks.keys], np.float64)
    picked = picks(tracks, found.ids, qualities, settings.per_identity, THUMBS_PER_TRACK)
    with published(root, REPLACED) as stage:
        write_outcome(stage, found)
        (stage / GALLERIES_FOLDER).mkdir()
        pictures = write_galleries(
            stage,
            tracks,
            picked,
            lambda place, wanted: read_thumbs(root / embeds_file(tracks.videos[place].name), wanted),
        )
        write_report(stage / REPORT_FILE, found, pictures)
        (stage / HISTORY_FILE).write_bytes(documents.dump(history))
        for name, video in gathering.folders.items():
            write_video(stage / name, name, read_footage(video), found)


def _continued(history: History, asked: str, found: Outcome, numbers: Numbered, skipped: Collection[str]) -> History:
    """The history with this run; with no more runs where nothing had changed since the last one."""
    if history.runs and history.runs[-1].asked == asked:
        return replace(history, next_id=numbers.next_id)
    names = tuple(video.name for video in found.tracks.videos)
    run = Run(
        number=len(history.runs) + 1,
        asked=asked,
        tracks=len(found.tracks),
        identities=found.identity_count,
        added_videos=tuple(sorted(set(names) - set(history.videos))),
        removed_videos=tuple(sorted(set(history.videos) - set(names) - set(skipped))),
        merges=numbers.merges,
        splits=numbers.splits,
        skipped_videos=tuple(sorted(skipped)),
    )
    return replace(history, next_id=numbers.next_id, videos=names, runs=(*history.runs, run))


def _asked(tracks: Tracks, made_of: Mapping[str, str], config: ReidConfig, calibration: Calibration | None) -> str:
    """Stands for all that identities depend on."""
    topology = config.associate.topology
    columns = (tracks.video, tracks.numbers, tracks.classes, tracks.starts_ns, tracks.ends_ns)
    return artifact_key(
        descriptors=dict(made_of),
        videos=[[video.name, video.camera, video.is_timed] for video in tracks.videos],
        classes=tracks.class_names,
        tracks=hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest(),
        associate=config.associate.model_dump(mode="json", exclude={"topology"}),
        topology="" if topology is None else describe_file(topology).sha256,
        calibration="" if calibration is None else calibration.digest,
    )
