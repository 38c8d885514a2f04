"""Clips of pairs: the query on the left, a candidate on the right, started together."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from throughline.domain.errors import Conflict, ThroughlineError
from throughline.domain.geometry import Size
from throughline.domain.pairs import TrackId
from throughline.domain.work import Incident, Work
from throughline.media.encode import Encoder
from throughline.media.planes import Canvas
from throughline.renderer.crowd import Redaction
from throughline.renderer.documents import PairDocument
from throughline.renderer.draw import BLUE, ORANGE
from throughline.renderer.half import HalfPlan, describe_half, plan_half, play_half
from throughline.renderer.layout import GUTTER, Rectangle, cells, with_caption
from throughline.renderer.metrics import count_rendered
from throughline.renderer.pacing import next_frame_ns
from throughline.renderer.redaction import Redactor
from throughline.renderer.scene import Style
from throughline.renderer.settings import ClipSettings
from throughline.renderer.sources import CameraRefs, Sources
from throughline.renderer.strip import Shown, Strip
from throughline.storage.documents import dump, load
from throughline.storage.workspace import Artifact, Workspace
from throughline.wire.subject import carried

CLIP, DOCUMENT = "clip.mp4", "pair.json"


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair to render."""

    pair_id: str
    candidate: TrackId


@dataclass(frozen=True, slots=True)
class PairsOrder:
    """What RenderPairs was asked for. `query`: the query's tracks, the best first; `whole_tracks`: none is shortened."""

    job_id: str
    query: tuple[TrackId, ...]
    cameras: tuple[CameraRefs, ...]
    pairs: tuple[Pair, ...]
    whole_tracks: bool = False
    redaction: Redaction = Redaction.NONE


@dataclass(frozen=True, slots=True)
class RenderedPair:
    """A clip that is ready; `reused`: it was before."""

    pair_id: str
    artifact: Artifact
    duration_ns: int
    reused: bool


Emit = Callable[[RenderedPair | Incident], None]


def render_pairs(workspace: Workspace, order: PairsOrder, settings: ClipSettings, emit: Emit, work: Work) -> None:
    """Render every clip that does not exist yet, several at once, and tell of each as it is ready.

    A pair that cannot be rendered is told as an incident, and the rest goes on. Raise what spoils all of them: a query that
    cannot be shown, a storage that is out of reach, a stop, Conflict where a clip exists that hides others or nobody.
    """
    missing = []
    for pair in order.pairs:
        ready = workspace.find(folder(order.job_id, pair.pair_id))
        if ready is None:
            missing.append(pair)
        else:
            emit(_rendered(order, pair, ready, reused=True))
    work.report(len(order.pairs) - len(missing), len(order.pairs), "pairs")
    if not missing:
        return
    wanted = {*order.query, *(pair.candidate for pair in missing)}
    with ExitStack() as stack:
        sources = stack.enter_context(Sources(workspace, order.cameras, wanted, decoder_threads=1))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="throughline-pairs-")))
        clips = _Clips(workspace, order, settings, sources, work)
        clips.record_query(scratch / "query.yuv")
        pool = stack.enter_context(ThreadPoolExecutor(settings.workers, "clip"))
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        rendering = [pool.submit(carried(clips.render), pair) for pair in missing]
        try:
            for done, future in enumerate(as_completed(rendering), len(order.pairs) - len(missing) + 1):
                emit(future.result())
                work.report(done, len(order.pairs), "pairs")
        except BaseException:
            work.cancel()
            raise


def folder(job_id: str, pair_id: str) -> str:
    """Where the clip of a pair is kept."""
    return f"jobs/{job_id}/pairs/{pair_id}"


class _Clips:
    """The clips of one query. Its half is drawn once."""

    def __init__(
        self, workspace: Workspace, order: PairsOrder, settings: ClipSettings, sources: Sources, work: Work
    ) -> None:
        self._workspace = workspace
        self._order = order
        self._settings = settings
        self._sources = sources
        self._work = work
        half = with_caption(Size(settings.half_width, settings.half_height))
        self._cell = Rectangle(0, 0, half.width, half.height)
        self._size = Size(2 * half.width + GUTTER, half.height)

    def record_query(self, path: Path) -> None:
        """Draw the left half into a file."""
        self._query = self._plan(self._order.query)
        self._left = Strip.record(path, self._play(self._query, Style(BLUE, "QUERY", self._settings.max_box_gap_ns)))

    def render(self, pair: Pair) -> RenderedPair | Incident:
        """Make one clip; what is wrong with this pair alone becomes an incident."""
        place = folder(self._order.job_id, pair.pair_id)
        try:
            self._work.check()
            with self._workspace.create(place) as made:
                self._render(pair, made)
            return _rendered(self._order, pair, self._workspace.get(place), reused=False)
        except ThroughlineError as error:
            if error.retryable or self._work.stop.is_set():
                raise
            problem: Exception = error
        except (OSError, ValueError) as error:  # what FFmpeg's errors are
            problem = error
        message = f"the clip of candidate {pair.candidate.number} of camera {pair.candidate.camera} was not rendered: {problem}"
        return Incident("pair_not_rendered", pair.pair_id, message, pair.candidate.camera)

    def _render(self, pair: Pair, made: Path) -> None:
        candidate = self._plan((pair.candidate,))
        duration_ns = max(self._query.duration_ns, candidate.duration_ns)
        right = self._play(candidate, Style(ORANGE, "CANDIDATE", self._settings.max_box_gap_ns))
        leading = int(self._rate(candidate) > self._rate(self._query))
        canvas = Canvas(self._size)
        with Encoder(made / CLIP, self._size, self._settings.encoder) as encoder:
            for time_ns in side_by_side(canvas, (self._left, right), leading, duration_ns, self._settings.merge_ns):
                self._work.check()
                encoder.write(canvas, time_ns)
            encoder.close(duration_ns)
        query, found = (describe_half(self._sources, half) for half in (self._query, candidate))
        document = PairDocument(pair.pair_id, CLIP, self._size, duration_ns, query, found, self._order.redaction)
        (made / DOCUMENT).write_bytes(dump(document))

    def _plan(self, tracks: Sequence[TrackId]) -> HalfPlan:
        whole = self._order.whole_tracks or self._settings.whole_tracks
        return plan_half(self._sources, tracks, None if whole else self._settings.limit_ns, self._settings.bridge_ns)

    def _rate(self, half: HalfPlan) -> float:
        return self._sources.camera(half.tracks[0].camera).rate

    def _play(self, half: HalfPlan, style: Style) -> Iterator[Shown]:
        redactor = Redactor(self._order.redaction, self._settings.redaction)
        return play_half(self._sources, half, self._cell, style, redactor, self._work)


def side_by_side(
    canvas: Canvas, pictures: tuple[Iterable[Shown], Iterable[Shown]], leading: int, duration_ns: int, merge_ns: int
) -> Iterator[int]:
    """Draw both halves on a canvas whenever one of them changes, until `duration_ns`; give the time each time that it is ready to be
    shown. Each half begins at 0 and holds its last picture.

    `leading`: which of the two has more frames per second, 0 or 1; the other one's wait for its frames up to `merge_ns`.
    """
    places = cells(canvas.size, 2)
    halves = [iter(each) for each in pictures]
    coming = [next(half, None) for half in halves]
    time_ns: int | None = 0
    while time_ns is not None:
        drawn = canvas.open()
        for index, (half, place) in enumerate(zip(halves, places, strict=True)):
            while (shown := coming[index]) is not None and shown.time_ns <= time_ns:
                drawn.part(*place.slices).show(shown.picture)
                coming[index] = next(half, None)
        yield time_ns
        changes = [None if each is None else each.time_ns for each in (coming[leading], coming[1 - leading])]
        time_ns = next_frame_ns(changes, time_ns, duration_ns, merge_ns)


def _rendered(order: PairsOrder, pair: Pair, artifact: Artifact, *, reused: bool) -> RenderedPair:
    document = load(PairDocument, artifact.path(DOCUMENT).read_bytes())
    if document.redaction != order.redaction:
        raise Conflict(
            f"pair {pair.pair_id} of job {order.job_id} has a clip with redaction {document.redaction}, not {order.redaction}; "
            "a job keeps to one: submit another"
        )
    count_rendered("clip", document.duration_ns, reused=reused)
    return RenderedPair(pair.pair_id, artifact, document.duration_ns, reused)
