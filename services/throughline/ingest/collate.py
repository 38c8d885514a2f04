"""From a camera's chunks to its reel: read several at once, timed, and copied in order. Memory stays flat, and only the reel is written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from throughline.domain.errors import NotFound
from throughline.domain.footage import ChunkObject, ChunkTime, Listing, Reel
from throughline.domain.time import Interval, seconds_to_ns
from throughline.domain.work import Work
from throughline.ingest.chunk_times import TimeRules
from throughline.ingest.fetching import in_order, open_chunk
from throughline.ingest.loss import LOSS_CODES, LOSSES, Loss, LostOnTheWay
from throughline.ingest.names import FileNameTimes
from throughline.ingest.reel_builder import Arrived, ReelBuilder
from throughline.ingest.repeated_hour import settle
from throughline.ingest.settings import CollateSettings
from throughline.ingest.survey import UNIT, Surveyed, order, survey, within
from throughline.storage import documents
from throughline.storage.gops import GOPS_FILE, GopWriter
from throughline.storage.object_store import ObjectStore, OpenObject
from throughline.storage.workspace import Artifact, Workspace, artifact_key

STAGE_REVISION = 6
"""Raise it whenever the same chunks would give another reel."""
REEL = "reel.json"


@dataclass(frozen=True, slots=True)
class CollateRequest:
    """Which reel to make."""

    listing: Listing
    camera: str
    time_zone: str = "UTC"
    window: Interval | None = None
    """Only chunks that may hold a moment of it, in camera time."""

    @property
    def chunks(self) -> tuple[ChunkObject, ...]:
        """Raises NotFound for a camera that is not in the listing."""
        chunks = self.listing.cameras.get(self.camera)
        if chunks is None:
            known = ", ".join(self.listing.cameras)
            raise NotFound(f"no camera {self.camera} with video lies below {self.listing.uri}; there are {known}")
        return chunks


@dataclass(frozen=True, slots=True)
class CollatedReel:
    """A reel and where it is kept. `was_reused` says that it was found ready."""

    artifact: Artifact
    reel: Reel
    was_reused: bool


class Collator:
    """Makes reels, or finds them ready."""

    def __init__(self, objects: ObjectStore, workspace: Workspace, settings: CollateSettings) -> None:
        self._objects = objects
        self._workspace = workspace
        self._settings = settings

    def collate(self, request: CollateRequest, work: Work) -> CollatedReel:
        """The camera's reel, made once for all who ask for it at the same time. One without a usable chunk has no parts, and
        incidents that say why.

        Chunks that can't be had are left out, and the reel that is made without them has a key of its own. Where that is noticed
        only when a chunk is fetched, the reel is made anew.
        """
        names = FileNameTimes(self._settings.file_name_patterns, request.time_zone)
        rules = TimeRules(self._settings.time_metadata_keys, names)
        losses: dict[str, Loss] = {}
        with self._workspace.claim(self._folder(request, []), lambda: work.report(0, 0, UNIT)) as ready:
            if ready is not None:
                return CollatedReel(ready, read_reel(ready), was_reused=True)
            while True:
                try:
                    return self._collate(request, rules, losses, work)
                except LostOnTheWay as more:
                    losses |= more.losses

    def _collate(self, request: CollateRequest, rules: TimeRules, losses: dict[str, Loss], work: Work) -> CollatedReel:
        work.report(0, len(request.chunks), UNIT)
        present = [chunk for chunk in request.chunks if chunk.name not in losses]
        lost = [Surveyed.lost(chunk, losses[chunk.name]) for chunk in request.chunks if chunk.name in losses]
        found = sorted([*survey(self._objects, present, rules, work), *lost], key=order)
        surveyed = settle(found, rules.names)
        gone = [one.chunk.name for one in surveyed if one.code in LOSS_CODES]
        folder = self._folder(request, gone)
        ready = self._workspace.find(folder) if gone else None
        if ready is not None:
            return CollatedReel(ready, read_reel(ready), was_reused=True)
        chosen = within(surveyed, request.window, self._snap_ns)
        with self._workspace.create(folder) as made:
            with GopWriter(made / GOPS_FILE) as gops:
                reel = self._build(request.camera, chosen, made, gops, work)
            (made / REEL).write_bytes(documents.dump(reel))
        return CollatedReel(self._workspace.get(folder), reel, was_reused=False)

    def _build(self, camera: str, chosen: list[Surveyed], folder: Path, gops: GopWriter, work: Work) -> Reel:
        builder = ReelBuilder(camera, folder, gops, self._snap_ns, work.check)
        timed = [(one.chunk, one.time) for one in chosen if one.time is not None]
        following = [time.start for _, time in timed[1:]]
        losses: dict[str, Loss] = {}

        def bring(one: tuple[ChunkObject, ChunkTime], check: Callable[[], None]) -> OpenObject | Loss:
            try:
                return open_chunk(self._objects, one[0], check, work.check)
            except LOSSES as error:
                return Loss.of(error)

        arriving = in_order(bring, timed, self._settings.fetches_at_once, work, drop=_close)
        with closing(builder), closing(arriving):
            steps = zip(timed, arriving, [*following, None], strict=False)
            for done, ((chunk, time), file, after) in enumerate(steps, 1):
                if isinstance(file, Loss):
                    losses[chunk.name] = file
                elif losses:
                    file.close()  # opened only for whether it can be had
                else:
                    try:
                        builder.add(Arrived(chunk, time, file), after)
                    except LostOnTheWay as lost:
                        losses |= lost.losses
                work.report(done, len(timed), "chunks")
            if losses:
                raise LostOnTheWay(losses)
            for one in chosen:
                if one.time is None:
                    builder.skip(one.chunk, None, one.code, one.problem)
            return builder.finish()

    @property
    def _snap_ns(self) -> int:
        return seconds_to_ns(self._settings.snap_seconds)

    def _folder(self, request: CollateRequest, gone: list[str]) -> str:
        key = artifact_key(
            stage="ingest",
            revision=STAGE_REVISION,
            camera=request.camera,
            chunks=[[chunk.uri, chunk.etag, chunk.size_bytes] for chunk in request.chunks],
            gone=gone,
            time_zone=request.time_zone,
            window=None if request.window is None else [request.window.start.ns, request.window.end.ns],
            settings=self._settings.model_dump(mode="json", exclude={"fetches_at_once"}),
        )
        return f"reels/{key}"


def read_reel(artifact: Artifact) -> Reel:
    """The account of a reel."""
    return documents.load(Reel, artifact.path(REEL).read_bytes())


def _close(file: OpenObject | Loss) -> None:
    if not isinstance(file, Loss):
        file.close()
