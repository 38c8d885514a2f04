"""What a site's reviewers answer corrects the similarities of its next jobs, and of nobody else's."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.orchestrator.bench import Client, request
from tests.orchestrator.scripted import Script, track
from throughline.domain.correction import Correction
from throughline.orchestrator import refitting
from throughline.orchestrator.answers import Answers
from throughline.orchestrator.jobs import Jobs, Submission
from throughline.orchestrator.learning import Learning
from throughline.orchestrator.ranking import FIRST_ROUND, Ranking
from throughline.orchestrator.rounds import RoundId, Rounds
from throughline.storage.records import Records
from throughline.storage.records.models import RankedRound, Search
from throughline.v1 import common_pb2 as common
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.tracker_pb2 import Candidate, RankCandidatesResponse

QUERY = common.ArtifactRef(uri="file:///workspace/jobs/job/query/", key="query")
CALIBRATION, OTHER = "c" * 64, "d" * 64
JOBS, COMPARED = 8, 400
Answered = dict[str, "common.Verdict.ValueType"]


class Site:
    """Records in which a site's jobs are ranked and answered."""

    def __init__(self, records: Records, name: str = "store") -> None:
        self.records, self.name, self.jobs, self.ranking = records, name, Jobs(records), Ranking(records)
        self.random = np.random.default_rng(11)

    def job(self, site: str | None = None) -> str:
        """A job that nothing is done for."""
        message = request(options=pb.JobOptions(site=self.name if site is None else site))
        job_id = self.jobs.create(Submission(message, "digest", "{}", "cam1", ""))[0]
        self.jobs.mark_enqueued(job_id)
        return job_id

    def ranked(self, calibrated_by: str = CALIBRATION, applied: Correction | None = None, told: str = "") -> str:
        """A job with thirty pairs, by looks from 0.5 on."""
        job_id = self.job()
        Learning(self.records, enabled=False, corrects=False).pin(job_id, QUERY)
        if applied is not None and applied.calibrated_by:
            with self.records.write() as session:
                session.get_one(Search, job_id).correction = refitting.to_record(applied)
        appearance = np.linspace(0.5, 0.98, 30)
        shown = appearance if applied is None else applied.apply(appearance)
        pairs = [
            Candidate(
                pair_id=f"{job_id}-{number}",
                track=track("cam2", number, 200),
                similarity=similarity,
                appearance_similarity=looks,
                space_time=told,
            )
            for number, (looks, similarity) in enumerate(zip(appearance.tolist(), shown.tolist(), strict=True))
        ]
        self.ranking.save_candidates(job_id, FIRST_ROUND, pairs)
        for pair in pairs:
            self.ranking.save_clip(job_id, FIRST_ROUND, pair.pair_id, "file:///clip.mp4")
        Rounds(self.records, 0.0).open(RoundId(job_id, FIRST_ROUND), 3600)
        Learning(self.records, enabled=False).keep_ranked(
            job_id,
            FIRST_ROUND,
            RankCandidatesResponse(candidates=pairs, compared=COMPARED, calibrated_by=calibrated_by),
        )
        return job_id

    def answer(self, job_id: str, said: Answered, at: int = 0) -> None:
        message = pb.AnnotationResultRequest(
            request_id=uuid.uuid4().hex,
            job_id=job_id,
            callback_token=self.jobs.assignment(job_id).callback_token,
            annotations=[
                pb.Annotation(pair_id=pair, verdict=verdict, annotated_ns=at) for pair, verdict in said.items()
            ],
        )
        Answers(self.records).take(message)

    def truth(self, job_id: str, valid: int = 5) -> Answered:
        """The most alike few are the person, the others are not."""
        return {
            f"{job_id}-{number}": common.VERDICT_VALID if number >= 30 - valid else common.VERDICT_INVALID
            for number in range(30)
        }

    def teach(self, jobs: int = JOBS) -> list[str]:
        taught = [self.ranked() for _ in range(jobs)]
        for job_id in taught:
            self.answer(job_id, self.truth(job_id))
        return taught

    def found(self, corrects: bool = True, site: str | None = None) -> Correction | None:
        """What the next job is given."""
        return Learning(self.records, enabled=False, corrects=corrects).pin(self.job(site), QUERY).correction


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    records = Records.open(f"sqlite:///{tmp_path}/records.db")
    yield records
    records.close()


def test_answers_correct_the_next_job_of_their_site_and_of_no_other(records: Records) -> None:
    store, yard = Site(records), Site(records, "yard")
    assert store.found() is None
    store.teach()
    found = store.found()
    assert found is not None
    assert (found.valid, found.invalid, found.jobs, found.calibrated_by) == (5 * JOBS, 25 * JOBS, JOBS, CALIBRATION)
    assert yard.found() is None
    assert store.found(site="") is None, "of jobs that name no site nobody knows what they have in common"
    assert store.found(corrects=False) is None


def test_a_job_keeps_its_correction_over_rounds_and_restarts(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/records.db"
    store = Site(Records.open(url))
    early = store.job()
    learning = Learning(store.records, enabled=False)
    assert learning.pin(early, QUERY).correction is None
    store.teach()
    late = store.job()
    pinned = learning.pin(late, QUERY)
    store.teach()
    store.records.close()
    again = Learning(Records.open(url), enabled=False, corrects=False)
    assert pinned.correction is not None
    assert again.pinned(late) == again.pin(late, QUERY) == pinned
    assert again.pin(early, QUERY).correction is None


def test_the_answer_that_stands_counts_and_a_pair_counts_once(records: Records) -> None:
    store = Site(records)
    taught = store.teach()
    before = store.found()
    for job_id in taught:  # these come after the rounds have closed
        store.answer(job_id, {f"{job_id}-29": common.VERDICT_INVALID, f"{job_id}-0": common.VERDICT_UNSURE})
        store.answer(job_id, {f"{job_id}-28": common.VERDICT_INVALID}, at=1)  # said before it was called valid
    after = store.found()
    assert before is not None
    assert after is not None
    assert (after.valid, after.invalid) == (4 * JOBS, 25 * JOBS)
    assert after.apply(0.97) < before.apply(0.97)


def test_what_a_later_round_compares_again_counts_once(records: Records) -> None:
    site = Site(records)
    jobs = site.teach()
    once = site.found()
    for job_id in jobs:
        again = RankCandidatesResponse(compared=COMPARED - 30, calibrated_by=CALIBRATION)
        Learning(records, enabled=False).keep_ranked(job_id, FIRST_ROUND + 1, again)
    assert once is not None
    assert site.found() == once


def test_a_pair_that_nobody_could_look_at_teaches_nothing(records: Records) -> None:
    site = Site(records)
    jobs = site.teach()
    once = site.found()
    for job_id in jobs:
        unseen = Candidate(
            pair_id=f"{job_id}-29", track=track("cam2", 29, 200), similarity=0.9, appearance_similarity=0.1
        )
        site.ranking.save_candidates(job_id, FIRST_ROUND + 1, [unseen])
        later = RankCandidatesResponse(candidates=[unseen], compared=COMPARED - 30, calibrated_by=CALIBRATION)
        Learning(records, enabled=False).keep_ranked(job_id, FIRST_ROUND + 1, later)
    assert site.found() == once


def test_too_few_answers_correct_nothing(records: Records) -> None:
    store = Site(records)
    store.teach(jobs=4)
    unanswered = store.ranked()
    assert store.found() is None
    store.answer(unanswered, {f"{unanswered}-0": common.VERDICT_INVALID, f"{unanswered}-29": common.VERDICT_VALID})
    found = store.found()
    assert found is not None
    assert (found.valid, found.invalid) == (21, 101)


def test_only_answers_to_the_calibration_of_the_newest_ranking_count(records: Records) -> None:
    store = Site(records)
    store.teach()
    newest = store.ranked(OTHER)
    store.answer(newest, store.truth(newest))
    assert store.found() is None
    store.ranked(CALIBRATION)
    assert store.found() is not None


def test_what_was_corrected_before_teaches_the_same_as_the_models_own(records: Records) -> None:
    plain, corrected = Site(records, "plain"), Site(records, "corrected")
    applied = Correction(-0.7, 0.8, 30, 30, 6, CALIBRATION)
    for number in range(JOBS):
        told = "" if number % 3 else "12.0 s from cam1 to cam2"
        one = plain.ranked(told=told)
        other = corrected.ranked(applied=applied if number % 2 else None, told=told)
        plain.answer(one, plain.truth(one))
        corrected.answer(other, corrected.truth(other))
    by_own, by_corrected = plain.found(), corrected.found()
    assert by_own is not None
    assert by_corrected is not None
    assert (by_own.offset, by_own.slope) == pytest.approx((by_corrected.offset, by_corrected.slope), abs=1e-5)


def test_what_space_and_time_said_is_told_from_what_looks_say(records: Records) -> None:
    plain, told = Site(records, "plain"), Site(records, "told")
    unlikely = Correction(-0.5, 1.0, 0, 0, 0)  # as a ratio would move them
    for _ in range(JOBS):
        one, other = plain.ranked(), told.ranked(applied=unlikely, told="12.0 s from cam1 to cam2")
        plain.answer(one, plain.truth(one))
        told.answer(other, told.truth(other))
    by_looks, by_both = plain.found(), told.found()
    assert by_looks is not None
    assert by_both is not None
    assert by_both.offset > by_looks.offset, "the same answers, although the odds were lower"


def test_of_very_many_pairs_those_of_the_newest_jobs_are_read(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Site(records)
    store.teach(jobs=12)
    monkeypatch.setattr(refitting, "_PAIRS_AT_MOST", 8 * 30 + 7)
    found = store.found()
    assert found is not None
    assert found.jobs == 8, "not a part of the ninth"


@pytest.fixture(scope="module")
def taught(home: Path) -> Iterator[Correction]:
    """The correction that a site's answers ask for, in the records before the orchestrator starts."""
    records = Records.open(f"sqlite:///{home}/orchestrator.db")
    store = Site(records)
    for job_id in store.teach():
        store.jobs.end(job_id, "cancelled")
    found = store.found()
    assert found is not None
    yield found
    records.close()


def test_all_rounds_of_a_job_are_ranked_by_its_correction(
    taught: Correction, client: Client, script: Script, home: Path
) -> None:
    script.later, script.calibrated_by = (2,), CALIBRATION
    options = pb.JobOptions(site="store", max_rounds=2, rerank=True, search_mode=pb.SEARCH_MODE_FAST)
    job_id = client.submit(options=options)
    for number in (1, 2):
        client.await_round(job_id, number)
        review = next(each for each in script.reviews if (each.job_id, each.round) == (job_id, number))
        client.answer(review, {pair.pair_id: common.VERDICT_VALID for pair in review.pairs})
    client.until(job_id)
    rankings = [*script.rankings(0), *script.rankings(1), *script.rankings(2)]
    assert [each.scouts for each in rankings] == [True, False, False]
    assert [each.rerank for each in rankings] == [False, True, True]
    for each in rankings:
        sent = each.correction
        assert (sent.offset, sent.slope, sent.calibrated_by) == (taught.offset, taught.slope, CALIBRATION)
    records = Records.open(f"sqlite:///{home}/orchestrator.db")
    with records.read() as session:
        kept = [session.get_one(RankedRound, (job_id, number)) for number in (1, 2)]
        assert [(each.calibrated_by, each.compared, each.candidates) for each in kept] == [
            (CALIBRATION, 9, 3),
            (CALIBRATION, 9, 2),
        ]
    records.close()


def test_jobs_of_another_site_and_thresholds_of_cosines_are_left_alone(
    taught: Correction, client: Client, script: Script, home: Path
) -> None:
    script.candidates, script.calibrated_by = 0, CALIBRATION
    job_id = client.submit(options=pb.JobOptions(site="another", threshold_scale=common.SIMILARITY_SCALE_COSINE))
    client.until(job_id)
    assert not script.rankings(1)[0].HasField("correction")
    assert not script.rankings(1)[0].rerank
    records = Records.open(f"sqlite:///{home}/orchestrator.db")
    with records.read() as session:
        assert session.get(RankedRound, (job_id, 1)) is None
    records.close()
