"""A film with everything that evidence is about: chunks, reels, tracks, a job in the records, answers, and the evidence itself.

The film copies one camera's first second and shows two cameras in the second after it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.media.clips import Clip, make_clip, steady
from tests.orchestrator.bench import QUERY, request
from throughline.domain.calibration import Calibration
from throughline.domain.footage import Listing, Reel
from throughline.domain.likeness import SETS
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.domain.tracks import TrackTable
from throughline.domain.transits import LearnedTransit
from throughline.domain.work import Work
from throughline.ingest.collate import CollatedReel, CollateRequest, Collator
from throughline.ingest.listing import DEFAULT_EXTENSIONS
from throughline.ingest.pinning import pin_footage
from throughline.ingest.settings import IngestSettings
from throughline.orchestrator.answers import Answers
from throughline.orchestrator.films import FIRST, FilmId, Films
from throughline.orchestrator.jobs import Jobs, Submission
from throughline.orchestrator.notary import Notary
from throughline.orchestrator.ranking import FIRST_ROUND, Ranking
from throughline.orchestrator.requests import digest_of
from throughline.orchestrator.rounds import RoundId, Rounds
from throughline.storage import documents
from throughline.storage.objects import open_objects
from throughline.storage.pictures import PictureWriter
from throughline.storage.records import Records
from throughline.storage.signing import SigningKey
from throughline.storage.tables import write_tracks
from throughline.storage.workspace import Workspace
from throughline.tracker.artifacts import SUMMARY_FILE, TrackSummary
from throughline.tracker.rank import RANKING_FILE, SCORES_FILE, RankRules
from throughline.tracker.rank import Ranking as Ranked
from throughline.v1 import common_pb2 as common
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import VERDICT_INVALID, VERDICT_UNSURE, VERDICT_VALID, ClockMap
from throughline.v1.tracker_pb2 import CameraTracks, Candidate

START = Instant.parse("2026-03-01T10:00:00Z")
CAMERAS = ("cam1", "entrée [2]")
CHUNKS, RATE = 3, 30
OFFSET_NS = -250_000_000
"""Of the second camera's clock."""
TOPOLOGY = "transits: [{from: cam1, to: 'entrée [2]', most: 60}]"
CALIBRATION = Calibration((-1.0, 0.25, 1.0), (0.0, 0.5, 1.0), "a labelled day", 40, 400)


@dataclass
class Sworn:
    """All of it, below `root`."""

    root: Path
    workspace: Workspace
    records: Records
    film_id: FilmId
    key_file: Path
    cameras: list[CameraTracks]
    film_uri: str
    evidence: Path

    @property
    def film(self) -> Path:
        return self.workspace.get(self.film_uri).path("film.mp4")

    @property
    def public_key(self) -> Path:
        return self.root / "public.pem"

    def chunks(self, camera: str) -> list[Path]:
        """The film shows the first two of the first camera, the last two of the second."""
        return sorted((self.root / "footage" / camera).iterdir())


def swear(root: Path, suffix: str = "mp4") -> Sworn:
    """Make everything, of chunks in the container that `suffix` names."""
    settings = IngestSettings(
        workspace_uri=f"file://{root}/workspace/", cache_dir=root / "cache", allowed_roots=(root,)
    )
    objects = open_objects(settings)
    workspace = Workspace(settings.workspace_uri, objects, settings.cache_dir)
    for index, camera in enumerate(CAMERAS):
        for number in range(index * CHUNKS, (index + 1) * CHUNKS):
            name = f"{(START + number % CHUNKS * NS_PER_SECOND).to_datetime():%Y-%m-%d_%H-%M-%S}.{suffix}"
            make_clip(root / "footage" / camera / name, Clip(steady(RATE, RATE), first_number=number * RATE))
    records = Records.open(f"sqlite:///{root}/records.db")
    job_id = _submit(records, f"file://{root}/footage/")
    _, listing = pin_footage(objects, workspace, job_id, f"file://{root}/footage/", (), DEFAULT_EXTENSIONS)
    collator = Collator(objects, workspace, settings.collate())
    reels = {camera: _collate(collator, listing, camera) for camera in CAMERAS}
    cameras = [
        _camera(workspace, camera, reels[camera], offset)
        for camera, offset in zip(CAMERAS, (0, OFFSET_NS), strict=True)
    ]
    _rank(workspace, job_id)
    _answer(records, job_id, cameras)
    film_uri = _film(workspace, job_id, reels)
    key = SigningKey.generate()
    (root / "key.pem").write_text(key.pem())
    (root / "public.pem").write_text(key.public.pem())
    film_id = FilmId(job_id, FIRST)
    uri = Notary(records, workspace, root / "key.pem").attest(film_id, film_uri, cameras)
    evidence = objects.local_path(uri)
    assert evidence is not None
    return Sworn(root, workspace, records, film_id, root / "key.pem", cameras, film_uri, evidence)


def _submit(records: Records, footage_uri: str) -> str:
    options = pb.JobOptions(
        similarity_threshold=0.55,
        labels={"case": "17", "Größe": "groß"},
        alert_target="https://hooks.example.com/very-secret",
        clock_maps=[ClockMap(camera=CAMERAS[1], offset_ns=OFFSET_NS)],
    )
    asked = request(footage_uri=footage_uri, options=options)
    submission = Submission(asked, digest_of(asked), json.dumps(QUERY), CAMERAS[0], "red coat", TOPOLOGY)
    return Jobs(records).create(submission)[0]


def _collate(collator: Collator, listing: Listing, camera: str) -> CollatedReel:
    return collator.collate(CollateRequest(listing, camera), Work())


def _camera(workspace: Workspace, camera: str, reel: CollatedReel, offset_ns: int) -> CameraTracks:
    key = f"{len(camera):032x}"
    with workspace.create(f"tracks/{key}") as made:
        times = np.array([START.ns, START.ns + NS_PER_SECOND], np.int64)
        boxes = np.array([[10, 10, 40, 90]] * 2, np.float32)
        write_tracks(made / "tracks.parquet", TrackTable(np.ones(2, np.int64), times, boxes, np.ones(2, np.float32)))
        summary = TrackSummary(camera, reel.artifact.key, 10.0, None, "d" * 64, "e" * 64, 30, 2, 1, 0, ())
        (made / SUMMARY_FILE).write_bytes(documents.dump(summary))
        with PictureWriter(made) as pictures:
            pictures.add(b"a crop")
    tracks = workspace.get(f"tracks/{key}")
    return CameraTracks(
        camera=camera,
        reel=common.ArtifactRef(uri=reel.artifact.uri, key=reel.artifact.key),
        tracks=common.ArtifactRef(uri=tracks.uri, key=tracks.key),
        clock_map=ClockMap(camera=camera, offset_ns=offset_ns),
    )


def _rank(workspace: Workspace, job_id: str) -> None:
    """The first round's ranking, without its candidates."""
    learned = (LearnedTransit(CAMERAS[0], CAMERAS[1], 20 * NS_PER_SECOND, 1.5, 9),)
    rules = RankRules(0.55)
    ranking = Ranked("asked", rules, "e" * 64, CALIBRATION, (), 3, 0, (), (), (), TOPOLOGY, learned, SETS)
    with workspace.create(f"jobs/{job_id}/scores/{FIRST_ROUND}") as made:
        (made / RANKING_FILE).write_bytes(documents.dump(ranking))
        (made / SCORES_FILE).write_bytes(b"a table")
        (made / "crops").mkdir()
        (made / "crops" / "1.jpg").write_bytes(b"a crop")


def _answer(records: Records, job_id: str, cameras: Sequence[CameraTracks]) -> None:
    """Three candidates: one confirmed after second thoughts, one rejected, one unsure; and a late answer."""
    span = common.Interval(start_ns=START.ns, end_ns=START.ns + NS_PER_SECOND)
    ranking = Ranking(records)
    ranking.save_query(job_id, [_track(cameras[0], 1, span)], 0.75)
    ranking.save_candidates(
        job_id,
        FIRST_ROUND,
        [
            Candidate(
                pair_id=f"pair{number}",
                track=_track(cameras[1], number, span),
                similarity=0.9,
                cosine=1 / 3,
                appearance_similarity=0.95,
                space_time="70.0 s from cam1 to entrée [2]; at most 60.0 s as a rule",
            )
            for number in (1, 2, 3)
        ],
    )
    for number in (1, 2, 3):
        ranking.save_clip(job_id, FIRST_ROUND, f"pair{number}", "file:///clip.mp4")
    Rounds(records, 0.0).open(RoundId(job_id, FIRST_ROUND), 3600)
    job_token = Jobs(records).assignment(job_id).callback_token
    said = [("pair1", VERDICT_INVALID), ("pair1", VERDICT_VALID), ("pair2", VERDICT_INVALID), ("pair3", VERDICT_UNSURE)]
    for number, (pair_id, verdict) in enumerate([*said, ("pair2", VERDICT_VALID)]):
        annotation = pb.Annotation(pair_id=pair_id, verdict=verdict, annotator="Ana", comment=f"no. {number} — “sure”")
        Answers(records).take(
            pb.AnnotationResultRequest(
                request_id=f"answer-{number}", job_id=job_id, callback_token=job_token, annotations=[annotation]
            )
        )
    Films(records).plan_first(job_id)


def _track(camera: CameraTracks, number: int, span: common.Interval) -> common.TrackRef:
    return common.TrackRef(camera=camera.camera, track_id=number, span=span, tracks_key=camera.tracks.key)


def _film(workspace: Workspace, job_id: str, reels: dict[str, CollatedReel]) -> str:
    folder = f"jobs/{job_id}/timelines/{FIRST}"
    reel = reels[CAMERAS[0]]
    with workspace.create(folder) as made:
        _copy(reel.artifact.path("part-000.mp4"), made / "film.mp4", 2 * NS_PER_SECOND)
        (made / "timeline.json").write_text(json.dumps(_timeline(reel.reel)))
        (made / "contact-sheet.jpg").write_bytes(b"a picture")
    return workspace.get(folder).uri


def _copy(part: Path, film: Path, until_ns: int) -> None:
    with av.open(str(part)) as source, av.open(str(film), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(source.streams.video[0]):
            if packet.pts is not None and packet.pts * packet.time_base * NS_PER_SECOND < until_ns:
                packet.stream = stream
                target.mux(packet)


def _timeline(reel: Reel) -> dict[str, Any]:
    second = NS_PER_SECOND

    def interval(start_ns: int, end_ns: int) -> dict[str, str]:
        return {"start": str(START + start_ns), "end": str(START + end_ns)}

    def run(start_ns: int, end_ns: int, method: str, **copied: Any) -> dict[str, Any]:
        return {"film_start_ns": start_ns, "film_end_ns": end_ns, "method": method, **copied}

    copied = {"camera": CAMERAS[0], "part": 0, "camera_time": interval(0, second)}
    alone = {"film_start_ns": 0, "film_end_ns": second, "utc": interval(0, second), "tiles": [{"camera": CAMERAS[0]}]}
    both = {
        "film_start_ns": second,
        "film_end_ns": 2 * second,
        "utc": interval(second, 2 * second),
        "tiles": [{"camera": camera} for camera in CAMERAS],
    }
    return {
        "made_of": "m" * 32,
        "duration_ns": 2 * second,
        "segments": [
            {**alone, "runs": [run(0, second, "copied", **copied)]},
            {**both, "runs": [run(second, 2 * second, "encoded", camera="", part=None, camera_time=None)]},
        ],
    }
