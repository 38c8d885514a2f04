"""Evaluates a finished job over a simulated store: reads what the job left in the workspace and hands it to scoring.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from throughline.domain.pairs import TrackSpan
from throughline.domain.time import Interval
from throughline.domain.truth import TrackLabel, label_tracks
from throughline.renderer.documents import TimelineDocument
from throughline.renderer.timelines import DOCUMENT
from throughline.simulation.scoring import FilmScore, Retrieval, TrackKey, presence, score_film, score_retrieval
from throughline.simulation.truth import StoreTruth
from throughline.storage.columns import read_table
from throughline.storage.documents import load
from throughline.storage.tables import TRACKS_FILE, read_tracks
from throughline.storage.workspace import Workspace
from throughline.tracker.match import Outcome
from throughline.tracker.rank import SCORES, SCORES_FILE
from throughline.v1.common_pb2 import VERDICT_VALID
from throughline.v1.orchestrator_pb2 import Job
from throughline.wire.convert import track_from_proto

_COMPARED = (Outcome.CANDIDATE, Outcome.BELOW_THRESHOLD, Outcome.OVER_LIMIT)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a job was. `located`: the query's best track shows the person who was asked about."""

    person: str
    located: bool
    retrieval: Retrieval
    film: FilmScore


def evaluate(workspace: Workspace, job: Job, store: StoreTruth, person: str, round_number: int = 1) -> Evaluation:
    """Compare a finished job with the truth. person: the name of whom its query shows."""
    number = store.document.people.index(person)
    folder = workspace.get(f"jobs/{job.job_id}/scores/{round_number}")
    scores = read_table(folder.path(SCORES_FILE), SCORES)
    labels = _labels(workspace, scores, store)
    likenesses, candidates = _compared(scores)
    query = [track_from_proto(track) for track in job.query_tracks]
    confirmed = confirmed_tracks(job)
    timeline = workspace.get(f"jobs/{job.job_id}/timelines/{job.timeline.revision}")
    document = load(TimelineDocument, timeline.path(DOCUMENT).read_bytes())
    truth = {camera: store.camera(camera) for camera in store.clocks}
    return Evaluation(
        person=person,
        located=bool(query) and labels[query[0].track.camera, query[0].track.number].person == number,
        retrieval=score_retrieval(likenesses, candidates, labels, number),
        film=score_film(
            _by_camera((tile.camera, segment.utc) for segment in document.segments for tile in segment.tiles),
            _by_camera((track.track.camera, track.span) for track in [*query, *confirmed]),
            presence(truth, store.clocks, number),
        ),
    )


def confirmed_tracks(job: Job) -> list[TrackSpan]:
    """The candidates that were confirmed."""
    return [track_from_proto(each.track) for each in job.candidates if each.verdict == VERDICT_VALID]


def _labels(workspace: Workspace, scores: pa.Table, store: StoreTruth) -> dict[TrackKey, TrackLabel]:
    """Whom every track of every camera shows."""
    keys = set(zip(scores["camera"].to_pylist(), scores["tracks_key"].to_pylist(), strict=True))
    labels: dict[TrackKey, TrackLabel] = {}
    for camera, key in sorted((str(camera), str(key)) for camera, key in keys):
        table = read_tracks(workspace.get(f"tracks/{key}").path(TRACKS_FILE))
        found = label_tracks(table, store.camera(camera))
        labels |= {(camera, track_id): label for track_id, label in found.items()}
    return labels


def _compared(scores: pa.Table) -> tuple[Mapping[TrackKey, float], list[TrackKey]]:
    """Likeness of every track that was compared with the query, and those that became candidates."""
    columns = [scores[name].to_pylist() for name in ("camera", "track_id", "likeness", "outcome")]
    rows = list(zip(*columns, strict=True))
    alike = {(camera, track_id): likeness for camera, track_id, likeness, outcome in rows if outcome in _COMPARED}
    return alike, [(camera, track_id) for camera, track_id, _, outcome in rows if outcome == Outcome.CANDIDATE]


def _by_camera(pairs: Iterable[tuple[str, Interval]]) -> dict[str, list[Interval]]:
    found: dict[str, list[Interval]] = {}
    for camera, span in pairs:
        found.setdefault(camera, []).append(span)
    return found
