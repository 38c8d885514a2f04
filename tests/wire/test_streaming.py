from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from tests.wire.generic import connected, serving
from throughline.domain.errors import Cancelled, DeadlineExceeded, NoUsableFootage
from throughline.domain.work import Step, Work
from throughline.v1 import common_pb2, renderer_pb2, renderer_pb2_grpc
from throughline.wire.client import translated_errors
from throughline.wire.convert import step_to_proto
from throughline.wire.service import RunningServer, Service
from throughline.wire.streaming import stream, stream_events
from throughline.wire.subject import subject

Task = Callable[[Work, Callable[[str], None]], None]


class Worker(renderer_pb2_grpc.RendererServicer):
    """Runs the task it is given behind RenderPairs; emitted texts are pair ids."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.ended = threading.Event()

    def RenderPairs(self, request: Any, context: Any) -> Iterator[renderer_pb2.RenderPairsResponse]:  # noqa: N802
        def task(work: Work, emit: Callable[[str], None]) -> None:
            try:
                self._task(work, emit)
            finally:
                self.ended.set()

        for event in stream_events(context, task):
            if isinstance(event, Step):
                progress = step_to_proto(event, common_pb2.STAGE_RENDER_PAIRS)
                yield renderer_pb2.RenderPairsResponse(progress=progress)
            else:
                yield renderer_pb2.RenderPairsResponse(clip=renderer_pb2.PairClip(pair_id=event))

    def RenderTimeline(self, request: Any, context: Any) -> Iterator[renderer_pb2.RenderTimelineResponse]:  # noqa: N802
        raise NotImplementedError

    def service(self) -> Service:
        def add(server: grpc.Server) -> None:
            renderer_pb2_grpc.add_RendererServicer_to_server(self, server)

        return Service("renderer", ("throughline.v1.Renderer",), add)


def _events(channel: grpc.Channel, **options: Any) -> Iterator[str]:
    with translated_errors("renderer"):
        request = renderer_pb2.RenderPairsRequest(job_id="job-7")
        for response in renderer_pb2_grpc.RendererStub(channel).RenderPairs(request, **options):
            yield response.clip.pair_id or f"{response.progress.done}/{response.progress.total}"


def _run(task: Task) -> list[str]:
    with serving(Worker(task).service()) as server, connected(server) as channel:
        return list(_events(channel))


def _endless(work: Work, emit: Callable[[str], None]) -> None:
    for done in range(10**9):
        work.report(done, 0, "frames")
        time.sleep(0.001)


def test_a_result_ends_the_stream_after_the_last_step() -> None:
    def task(work: Work, emit: Callable[[str], None]) -> None:
        for done in range(1, 5001):
            work.report(done, 5000, "frames")
        emit("done")

    events = _run(task)
    assert events[-2:] == ["5000/5000", "done"]
    assert len(events) < 20


def test_steps_go_out_about_five_times_a_second_and_in_order() -> None:
    def task(work: Work, emit: Callable[[str], None]) -> None:
        end = time.monotonic() + 1.0
        done = 0
        while time.monotonic() < end:
            work.report(done := done + 1, 0, "frames")
            time.sleep(0.001)

    numbers = [int(event.partition("/")[0]) for event in _run(task)]
    assert 3 <= len(numbers) <= 8
    assert numbers == sorted(set(numbers))


def test_every_result_is_delivered_in_order() -> None:
    def task(work: Work, emit: Callable[[str], None]) -> None:
        for done in range(300):
            work.report(done, 300, "pairs")
            emit(f"pair-{done}")

    assert [event for event in _run(task) if event.startswith("pair")] == [f"pair-{done}" for done in range(300)]


def test_what_the_work_raises_reaches_the_client_after_its_results() -> None:
    def task(work: Work, emit: Callable[[str], None]) -> None:
        emit("one")
        raise NoUsableFootage("nothing below the prefix could be used; check it")

    with serving(Worker(task).service()) as server, connected(server) as channel:
        events = _events(channel)
        assert next(events) == "one"
        with pytest.raises(NoUsableFootage, match="check it"):
            next(events)


def _gone(end: Callable[[RunningServer, grpc.Channel, Any], None]) -> float:
    """Seconds from `end` of a call in the middle of its work until the work ended."""
    worker = Worker(_endless)
    with serving(worker.service()) as server, connected(server) as channel:
        running = renderer_pb2_grpc.RendererStub(channel).RenderPairs(renderer_pb2.RenderPairsRequest())
        next(running)
        assert not worker.ended.is_set()
        before = time.monotonic()
        end(server, channel, running)
        assert worker.ended.wait(5)
        return time.monotonic() - before


def test_the_work_stops_within_a_second_when_its_caller_cancels() -> None:
    assert _gone(lambda server, channel, running: running.cancel()) < 1


def test_the_work_stops_within_a_second_when_its_caller_goes_away() -> None:
    assert _gone(lambda server, channel, running: channel.close()) < 1


def test_the_work_stops_within_a_second_when_the_server_ends() -> None:
    assert _gone(lambda server, channel, running: server.stop(0.1)) < 1


def test_the_work_stops_when_its_deadline_passes() -> None:
    worker = Worker(_endless)
    with serving(worker.service()) as server, connected(server) as channel:
        with pytest.raises(DeadlineExceeded):
            list(_events(channel, timeout=0.3))
        assert worker.ended.wait(1)


def test_the_log_of_the_work_knows_its_job() -> None:
    seen = []

    def task(work: Work, emit: Callable[[str], None]) -> None:
        seen.append(subject().job)

    _run(task)
    assert seen == ["job-7"]


class EndedContext:
    """A call that was over before its servicer ran."""

    def add_callback(self, _: Callable[[], None]) -> bool:
        return False


def test_work_whose_caller_is_gone_already_never_begins() -> None:
    ran: list[Work] = []
    context: Any = EndedContext()
    with pytest.raises(Cancelled):
        list(stream(context, ran.append))
    assert ran == []


def test_a_call_that_ended_by_itself_leaves_no_trace_in_the_log_as_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        _gone(lambda server, channel, running: running.cancel())
    assert caplog.text == ""
