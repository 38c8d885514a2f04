"""Writes the evidence of a film beside its job: what the records say, what the artifacts say, and a signature over both."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from throughline.domain.evidence import (
    FORMAT,
    CameraFacts,
    ClockFacts,
    Evidence,
    EvidenceFile,
    Role,
    SpanFacts,
)
from throughline.domain.footage import Reel
from throughline.domain.time import Instant, Interval
from throughline.domain.work import Incident
from throughline.orchestrator.film_account import DOCUMENT, FilmAccount
from throughline.orchestrator.films import FilmId
from throughline.orchestrator.provenance import CameraFootage, Tracer
from throughline.orchestrator.rankings import rankings
from throughline.orchestrator.testimony import Testimony, testimony
from throughline.storage import documents
from throughline.storage.evidence import FILE, QUERY_FILE, seal
from throughline.storage.gops import GOPS_FILE, read_gops
from throughline.storage.manifest import describe_bytes
from throughline.storage.pictures import PICTURES_FILE
from throughline.storage.records import Records
from throughline.storage.signing import SigningKey
from throughline.storage.workspace import Artifact, Workspace
from throughline.v1.tracker_pb2 import CameraTracks
from throughline.wire.convert import clock_map_from_proto

_REEL, _SUMMARY = "reel.json", "summary.json"
_FILM = "film.mp4"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrackingAccount:
    """What summary.json of a tracks artifact says, as far as evidence needs it; the tracker writes it, and says more."""

    rate: float
    detector_digest: str
    reid_digest: str
    incidents: tuple[Incident, ...]


@dataclass(frozen=True)
class _Camera:
    """One camera's artifacts, opened."""

    refs: CameraTracks
    footage: CameraFootage
    tracking: TrackingAccount
    reel: Artifact
    tracks: Artifact


class Notary:
    """Without a key the evidence is unsigned, says so, and proves only what its readers believe."""

    def __init__(self, records: Records, workspace: Workspace, key_file: Path | None) -> None:
        """Raise NotFound or InvalidInput where the file holds no key."""
        self._records = records
        self._workspace = workspace
        self._key = SigningKey.load(key_file) if key_file else None
        if self._key is None:
            _log.warning("evidence of films is not signed; set THROUGHLINE_EVIDENCE_KEY_FILE to an Ed25519 key in PEM")

    def attest(
        self, film: FilmId, film_uri: str, cameras: Sequence[CameraTracks], now_ns: Callable[[], int] = time.time_ns
    ) -> str:
        """Write a film's evidence, or find it written; return its URI. `film_uri`: the film's artifact.

        Raises NotFound or CorruptArtifact where an artifact is not as it should be.
        """
        folder = f"jobs/{film.job_id}/evidence/{film.revision}"
        written = self._workspace.find(folder)
        if written is None:
            said = testimony(self._records, film)
            evidence = self._evidence(said, self._workspace.get(film_uri), folder, cameras, Instant(now_ns()))
            with self._workspace.create(folder) as made:
                (made / QUERY_FILE).write_bytes(said.query_json.encode())
                (made / FILE).write_bytes(seal(evidence, self._key))
            written = self._workspace.get(folder)
        return written.uri_of(FILE)

    def _evidence(
        self, said: Testimony, film: Artifact, folder: str, cameras: Sequence[CameraTracks], now: Instant
    ) -> Evidence:
        account = documents.load(FilmAccount, film.path(DOCUMENT).read_bytes())
        shown = {tile.camera for segment in account.segments for tile in segment.tiles}
        opened = {refs.camera: self._open(refs) for refs in cameras if refs.camera in shown}
        tracer = Tracer({name: camera.footage for name, camera in opened.items()})
        spans = tracer.spans(account)
        ranked = list(rankings(self._workspace, said.job.job_id))
        query = describe_bytes(said.query_json.encode())
        return Evidence(
            format=FORMAT,
            product=f"throughline {version('throughline')}",
            written=now,
            signer=self._key.public.signer if self._key else None,
            workspace_uri=self._workspace.uri,
            job=said.job,
            query=said.query,
            film=replace(said.film, duration_ns=account.duration_ns, made_of=account.made_of),
            spans=spans,
            sources=tuple(tracer.sources),
            cameras=tuple(_facts(camera, spans) for _, camera in sorted(opened.items())),
            pairs=said.pairs,
            files=(
                *_film_files(film),
                EvidenceFile(
                    Role.QUERY,
                    QUERY_FILE,
                    f"{self._workspace.uri}{folder}/{QUERY_FILE}",
                    query.size_bytes,
                    query.sha256,
                ),
                *self._listing(said.job.job_id),
                *(file for _, camera in sorted(opened.items()) for file in _camera_files(camera, spans)),
                *(self._account(refs) for refs in cameras if refs.camera not in shown),
                *(
                    replace(_file(Role.RANKING, artifact, name), name=f"{facts.round}/{name}")
                    for artifact, facts in ranked
                    for name in artifact.names()
                    if "/" not in name
                ),
            ),
            incidents=said.incidents,
            rankings=tuple(facts for _, facts in ranked),
        )

    def _account(self, refs: CameraTracks) -> EvidenceFile:
        """The account of a camera that was searched and is not shown: digests of all its chunks."""
        return replace(_file(Role.REEL, self._workspace.get(refs.reel.uri), _REEL), camera=refs.camera)

    def _listing(self, job_id: str) -> list[EvidenceFile]:
        listing = self._workspace.find(f"jobs/{job_id}/footage")
        return [] if listing is None else [_file(Role.LISTING, listing, name) for name in listing.names()]

    def _open(self, refs: CameraTracks) -> _Camera:
        reel, tracks = self._workspace.get(refs.reel.uri), self._workspace.get(refs.tracks.uri)
        gops = read_gops(reel.path(GOPS_FILE)) if GOPS_FILE in reel.names() else None
        _, clock = clock_map_from_proto(refs.clock_map)
        footage = CameraFootage(documents.load(Reel, reel.path(_REEL).read_bytes()), gops, clock)
        tracking = documents.load(TrackingAccount, tracks.path(_SUMMARY).read_bytes())
        return _Camera(refs, footage, tracking, reel, tracks)


def _facts(camera: _Camera, spans: Iterable[SpanFacts]) -> CameraFacts:
    clock, reel = camera.footage.clock, camera.footage.reel
    seen = [tile.utc for span in spans for tile in span.tiles if tile.camera == camera.refs.camera]
    whole = Interval(min(utc.start for utc in seen), max(utc.end for utc in seen))
    gaps = (clock.interval_to_utc(gap).intersection(whole) for gap in reel.gaps)
    return CameraFacts(
        camera=camera.refs.camera,
        clock=ClockFacts(clock.offset_ns, clock.drift_ppb, clock.reference, clock.uncertainty_ns),
        reel_key=camera.reel.key,
        tracks_key=camera.tracks.key,
        analysis_rate=repr(camera.tracking.rate),
        models={"detector": camera.tracking.detector_digest, "reid": camera.tracking.reid_digest},
        gaps=tuple(gap for gap in gaps if gap is not None),
        incidents=(*reel.incidents, *camera.tracking.incidents),
    )


def _film_files(film: Artifact) -> Iterator[EvidenceFile]:
    for name in sorted(film.names(), key=lambda name: (name != _FILM, name)):
        yield _file(Role.FILM if name == _FILM else Role.COMPANION, film, name)


def _camera_files(camera: _Camera, spans: Iterable[SpanFacts]) -> Iterator[EvidenceFile]:
    """The parts that are shown, and the whole account of reel and tracks; crops are left out, the table of boxes says what they show."""
    name, parts = camera.refs.camera, camera.footage.reel.parts
    used = {tile.part for span in spans for tile in span.tiles if tile.camera == name}
    for number, part in enumerate(parts):
        if number in used:
            yield replace(_file(Role.REEL, camera.reel, part.file), camera=name, part=number)
    for account in (_REEL, GOPS_FILE):
        if account in camera.reel.names():
            yield replace(_file(Role.REEL, camera.reel, account), camera=name)
    for table in camera.tracks.names():
        if "/" not in table and table != PICTURES_FILE:
            yield replace(_file(Role.TRACKS, camera.tracks, table), camera=name)


def _file(role: Role, artifact: Artifact, name: str) -> EvidenceFile:
    entry = artifact.manifest.files[name]
    return EvidenceFile(role, name, artifact.uri_of(name), entry.size_bytes, entry.sha256)
