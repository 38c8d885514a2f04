"""The order of the stages. Everything here can stop at any line and begin again: what a step has done is not done again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from throughline.orchestrator.durable import CAMERAS, JOBS, PAIRS, Durable
from throughline.orchestrator.film_steps import FilmSteps
from throughline.orchestrator.films import FIRST, FilmId
from throughline.orchestrator.footage_steps import FootageSteps
from throughline.orchestrator.inflight import Errand
from throughline.orchestrator.jobs import Jobs
from throughline.orchestrator.patience import Patience
from throughline.orchestrator.requests import film_request_id, find_id, review_id
from throughline.orchestrator.review_steps import ReviewSteps
from throughline.orchestrator.rounds import Reminder
from throughline.orchestrator.running import Runner, Step
from throughline.orchestrator.search_steps import SearchSteps

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Steps:
    """What the workflow is made of."""

    footage: FootageSteps
    search: SearchSteps
    review: ReviewSteps
    film: FilmSteps


class Workflow:
    """Two workflows carry a job: `find` up to the sending of the pairs, `film` from the answers on. Between them nothing runs."""

    def __init__(
        self, durable: Durable, runner: Runner, steps: Steps, jobs: Jobs, patience: tuple[Patience, Patience]
    ) -> None:
        """`patience` is for the stages, and for those outside."""
        self._durable = durable
        self._runner = runner
        self._steps = steps
        self._jobs = jobs
        self._stage_patience, self._outside_patience = patience
        for name, function in (
            ("find", self._find),
            ("camera", self._camera),
            ("pairs", self._pairs),
            ("remind", self._remind),
            ("film", self._film),
        ):
            durable.register(name, function)

    def enqueue_find(self, job_id: str) -> None:
        self._durable.enqueue(JOBS, find_id(job_id), "find", job_id)

    def enqueue_reminder(self, reminder: Reminder) -> None:
        self._durable.enqueue(JOBS, review_id(reminder), "remind", reminder.job_id, reminder.number)

    def enqueue_film(self, film: FilmId) -> None:
        self._durable.enqueue(JOBS, film_request_id(film), "film", film.job_id, film.revision)

    def cancel(self, job_id: str) -> None:
        """Take what there is of an ended job off the queues."""
        self._durable.cancel([find_id(job_id), film_request_id(FilmId(job_id, FIRST))])

    def _find(self, job_id: str) -> None:
        footage, search, review = self._steps.footage, self._steps.search, self._steps.review

        def body() -> None:
            *listing, cameras = self._step(job_id, "list footage", "list", footage.list_footage)
            for number, camera in enumerate(cameras):
                workflow_id = f"{find_id(job_id)}.camera-{number}"
                self._durable.enqueue(CAMERAS, workflow_id, "camera", job_id, camera, tuple(listing), place=number)
            self._step(job_id, "await cameras", "ingest", footage.await_cameras)
            query = self._step(job_id, "locate query", "locate", search.locate_query)
            calls = self._step(job_id, "rank candidates", "rank", lambda errand: search.rank_candidates(errand, query))
            for number in range(calls):
                workflow_id = f"{find_id(job_id)}.pairs-{number}"
                self._durable.enqueue(PAIRS, workflow_id, "pairs", job_id, number, place=number)
            stage = "render_pairs" if calls else "rank"
            if self._step(job_id, "await pairs", stage, lambda errand: search.await_pairs(errand, calls)):
                self._step(job_id, "open round", "review", review.open_round)
                self._step(job_id, "send pairs", "review", review.send_pairs, self._outside_patience)
                self._step(job_id, "wait for review", "review", review.wait_for_review)
            else:
                self._step(job_id, "plan film", "render_timeline", self._steps.film.plan_film)

        self._runner.workflow(job_id, body, lambda error: self._fail(job_id, error))

    def _fail(self, job_id: str, error: str) -> None:
        self._jobs.end(job_id, "failed", error)

    def _camera(self, job_id: str, camera: str, listing: tuple[str, str]) -> None:
        footage = self._steps.footage

        def step(name: str, stage: str, act: Callable[[Errand], R]) -> R:
            return self._runner.step(job_id, Step(name, stage, self._stage_patience, camera=camera), act)

        def body() -> None:
            usable = step("collate", "ingest", lambda errand: footage.collate(errand, camera, listing))
            if usable:
                step("track", "track", lambda errand: footage.track(errand, camera))
            step("end camera", "ingest", lambda _: footage.end_camera(job_id, camera, usable))

        self._runner.workflow(job_id, body, lambda error: footage.lose_camera(job_id, camera, error))

    def _pairs(self, job_id: str, number: int) -> None:
        search = self._steps.search

        def body() -> None:
            step = Step("render pairs", "render_pairs", self._stage_patience, number=number)
            self._runner.step(job_id, step, lambda errand: search.render_pairs(errand, number))

        self._runner.workflow(job_id, body, lambda error: search.lose_pairs(job_id, number, error))

    def _remind(self, job_id: str, number: int) -> None:
        review = self._steps.review

        def body() -> None:
            pair_ids, deadline_ns = self._step(job_id, "choose open pairs", "review", review.choose_open_pairs)

            def remind(errand: Errand) -> None:
                review.remind(errand, number, pair_ids, deadline_ns)

            self._runner.step(job_id, Step("remind", "review", self._outside_patience, number=number), remind)

        self._runner.workflow(job_id, body, lambda error: review.lose_reminder(job_id, number, error))

    def _film(self, job_id: str, revision: int) -> None:
        filming, film = self._steps.film, FilmId(job_id, revision)

        def step(name: str, stage: str, act: Callable[[Errand], None], patience: Patience) -> None:
            bound = revision == FIRST  # a film that is made anew belongs to a job that has ended
            self._runner.step(job_id, Step(name, stage, patience, bound, number=revision), act)

        def body() -> None:
            near, far = self._stage_patience, self._outside_patience
            if revision == FIRST:
                step("keep round", "render_timeline", filming.keep_round, near)
            step("render timeline", "render_timeline", lambda errand: filming.render_timeline(errand, film), near)
            step("alert", "alert", lambda errand: filming.alert(errand, film), far)
            step("succeed", "alert", lambda _: filming.succeed(film), near)

        self._runner.workflow(job_id, body, lambda error: filming.lose_film(film, error))

    def _step(
        self, job_id: str, name: str, stage: str, act: Callable[[Errand], R], patience: Patience | None = None
    ) -> R:
        return self._runner.step(job_id, Step(name, stage, patience or self._stage_patience), act)
