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
from throughline.orchestrator.ranking import FIRST_ROUND
from throughline.orchestrator.requests import film_request_id, find_id, review_id, search_id
from throughline.orchestrator.review_steps import ReviewSteps
from throughline.orchestrator.rounds import MOST_ROUNDS, Reminder, RoundId
from throughline.orchestrator.running import Runner, Step
from throughline.orchestrator.search_steps import PairsPart, SearchSteps

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Steps:
    """What the workflow is made of."""

    footage: FootageSteps
    search: SearchSteps
    review: ReviewSteps
    film: FilmSteps


class Workflow:
    """Two workflows carry a job: `find` up to the sending of the pairs, `film` from the answers on; for each round after the first
    there is a `search` in between. While people answer, nothing runs."""

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
            ("closer", self._closer),
            ("pairs", self._pairs),
            ("remind", self._remind),
            ("search", self._search),
            ("film", self._film),
        ):
            durable.register(name, function)

    def enqueue_find(self, job_id: str) -> None:
        self._durable.enqueue(JOBS, find_id(job_id), "find", job_id)

    def enqueue_reminder(self, reminder: Reminder) -> None:
        self._durable.enqueue(
            JOBS, review_id(reminder), "remind", reminder.job_id, reminder.number, reminder.round.number
        )

    def enqueue_round(self, round_id: RoundId) -> None:
        """Of a round after the first."""
        self._durable.enqueue(JOBS, search_id(round_id), "search", round_id.job_id, round_id.number)

    def enqueue_film(self, film: FilmId) -> None:
        self._durable.enqueue(JOBS, film_request_id(film), "film", film.job_id, film.revision)

    def cancel(self, job_id: str) -> None:
        """Take what there is of an ended job off the queues."""
        searches = (search_id(RoundId(job_id, number)) for number in range(FIRST_ROUND + 1, MOST_ROUNDS + 1))
        self._durable.cancel([find_id(job_id), *searches, film_request_id(FilmId(job_id, FIRST))])

    def _find(self, job_id: str) -> None:
        footage, search = self._steps.footage, self._steps.search

        def body() -> None:
            *listing, cameras = self._step(job_id, "list footage", "list", footage.list_footage)
            for number, camera in enumerate(cameras):
                workflow_id = f"{find_id(job_id)}.camera-{number}"
                self._durable.enqueue(CAMERAS, workflow_id, "camera", job_id, camera, tuple(listing), place=number)
            self._step(job_id, "await cameras", "ingest", footage.await_cameras)
            query = self._step(job_id, "locate query", "locate", search.locate_query)
            if search.is_fast(job_id):  # only then, so that jobs of releases without it are replayed as they were
                self._look_closer(job_id, query)
            calls = self._step(job_id, "rank candidates", "rank", lambda errand: search.rank_candidates(errand, query))
            self._review(RoundId(job_id, FIRST_ROUND), find_id(job_id), calls)

        self._runner.workflow(job_id, body, lambda error: self._fail(job_id, error))

    def _look_closer(self, job_id: str, query: tuple[str, str]) -> None:
        search, footage = self._steps.search, self._steps.footage
        closer = self._step(job_id, "scout", "rank", lambda errand: search.scout(errand, query))
        for number, (camera, spans) in enumerate(closer):
            workflow_id = f"{find_id(job_id)}.closer-{number}"
            self._durable.enqueue(CAMERAS, workflow_id, "closer", job_id, camera, spans, place=number)
        if closer:
            self._step(job_id, "await closer looks", "track", footage.await_closer)

    def _search(self, job_id: str, number: int) -> None:
        search, round_id = self._steps.search, RoundId(job_id, number)

        def body() -> None:
            step = Step("search again", "rank", self._stage_patience, number=number)
            calls = self._runner.step(job_id, step, lambda errand: search.search_again(errand, number))
            self._review(round_id, search_id(round_id), calls)

        self._runner.workflow(job_id, body, lambda error: self._lose_round(round_id, error))

    def _lose_round(self, round_id: RoundId, error: str) -> None:
        """A later round could not be had: the film shows what the ones before it confirmed."""
        if self._steps.search.lose_round(round_id, error):
            self._steps.film.plan(round_id.job_id)

    def _review(self, round_id: RoundId, parent_id: str, calls: int) -> None:
        """Have a round's clips rendered and its pairs sent; where there are none, want the film."""
        search, review, (job_id, number) = self._steps.search, self._steps.review, (round_id.job_id, round_id.number)
        near, far = self._stage_patience, self._outside_patience

        def step(name: str, stage: str, act: Callable[[Errand], R], patience: Patience = near) -> R:
            return self._runner.step(job_id, Step(name, stage, patience, number=number - FIRST_ROUND), act)

        for call in range(calls):
            self._durable.enqueue(PAIRS, f"{parent_id}.pairs-{call}", "pairs", job_id, call, number, place=call)
        stage = "render_pairs" if calls else "rank"
        if step("await pairs", stage, lambda errand: search.await_pairs(errand, number, calls)):
            step("open round", "review", lambda errand: review.open_round(errand, number))
            step("send pairs", "review", lambda errand: review.send_pairs(errand, number), far)
            step("wait for review", "review", lambda errand: review.wait_for_review(errand, number))
        else:
            step("plan film", "render_timeline", self._steps.film.plan_film)

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

    def _closer(self, job_id: str, camera: str, spans: list[tuple[int, int]]) -> None:
        footage = self._steps.footage

        def body() -> None:
            step = Step("look closer", "track", self._stage_patience, camera=camera)
            self._runner.step(job_id, step, lambda errand: footage.look_closer(errand, camera, spans))

        self._runner.workflow(job_id, body, lambda error: footage.lose_closer(job_id, camera, error))

    def _pairs(self, job_id: str, number: int, round_number: int = FIRST_ROUND) -> None:
        search, part = self._steps.search, PairsPart(RoundId(job_id, round_number), number)

        def body() -> None:
            place = part.round.step_number(number)
            step = Step("render pairs", "render_pairs", self._stage_patience, number=place)
            self._runner.step(job_id, step, lambda errand: search.render_pairs(errand, part))

        self._runner.workflow(job_id, body, lambda error: search.lose_pairs(part, error))

    def _remind(self, job_id: str, number: int, round_number: int = FIRST_ROUND) -> None:
        review, reminder = self._steps.review, Reminder(RoundId(job_id, round_number), number)

        def step(name: str, act: Callable[[Errand], R], patience: Patience) -> R:
            place = reminder.round.step_number(number)
            return self._runner.step(job_id, Step(name, "review", patience, number=place), act)

        def body() -> None:
            near, far = self._stage_patience, self._outside_patience
            open_pairs = step("choose open pairs", lambda _: review.choose_open_pairs(reminder.round), near)
            step("remind", lambda errand: review.remind(errand, reminder, *open_pairs), far)

        self._runner.workflow(job_id, body, lambda error: review.lose_reminder(reminder, error))

    def _film(self, job_id: str, revision: int) -> None:
        filming, film = self._steps.film, FilmId(job_id, revision)

        def step(name: str, stage: str, act: Callable[[Errand], None], patience: Patience) -> None:
            bound = revision == FIRST  # a film that is made anew belongs to a job that has ended
            self._runner.step(job_id, Step(name, stage, patience, bound, number=revision), act)

        def body() -> None:
            near, far = self._stage_patience, self._outside_patience
            if revision == FIRST:
                step("keep round", "render_timeline", filming.keep_rounds, near)
            step("render timeline", "render_timeline", lambda errand: filming.render_timeline(errand, film), near)
            step("alert", "alert", lambda errand: filming.alert(errand, film), far)
            step("succeed", "alert", lambda _: filming.succeed(film), near)

        self._runner.workflow(job_id, body, lambda error: filming.lose_film(film, error))

    def _step(
        self, job_id: str, name: str, stage: str, act: Callable[[Errand], R], patience: Patience | None = None
    ) -> R:
        return self._runner.step(job_id, Step(name, stage, patience or self._stage_patience), act)
