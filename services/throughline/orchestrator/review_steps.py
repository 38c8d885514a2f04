"""Steps around the tier: send the pairs, and remind it of those still open."""

from __future__ import annotations

from dataclasses import dataclass

from throughline.domain.time import NS_PER_SECOND
from throughline.orchestrator.inflight import Errand
from throughline.orchestrator.ledger import Ledger
from throughline.orchestrator.ranking import track_ref
from throughline.orchestrator.requests import review_id
from throughline.orchestrator.rounds import DEFAULT_DEADLINE_SECONDS, Reminder, RoundId
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.orchestrator.stages import call
from throughline.orchestrator.targets import connect_outside
from throughline.storage.records.models import CandidateTrack
from throughline.v1.common_pb2 import Incident, TrackRef
from throughline.v1.tier_pb2 import ReviewPair, ReviewPairsRequest
from throughline.v1.tier_pb2_grpc import TierStub


@dataclass(frozen=True)
class ReviewSteps:
    """Each method is the body of one step."""

    ledger: Ledger
    settings: OrchestratorSettings

    def open_round(self, errand: Errand, number: int) -> None:
        """From here on answers are welcome, even before the tier has said that it took the pairs."""
        self.ledger.rounds.open(RoundId(errand.job_id, number), self._deadline_seconds(errand.job_id))

    def send_pairs(self, errand: Errand, number: int) -> None:
        """Have the tier take all pairs of a round."""
        round_id = RoundId(errand.job_id, number)
        review = self.ledger.rounds.get(round_id)
        if not review.closed_ns:
            deadline_ns = review.opened_ns + self._deadline_seconds(errand.job_id) * NS_PER_SECOND
            pairs = [pair for pair in self.ledger.ranking.candidates(errand.job_id, number) if pair.clip_uri]
            self._send(errand, Reminder(round_id, 0), pairs, deadline_ns)
            self.ledger.rounds.mark_sent(round_id)

    def wait_for_review(self, errand: Errand, number: int) -> None:
        """Nothing runs from here on until the round is closed."""
        self.ledger.jobs.wait_for_review(errand.job_id, number)

    def choose_open_pairs(self, round_id: RoundId) -> tuple[list[str], int]:
        """What a reminder will name, whatever is answered while it is on its way; and the deadline."""
        pairs = self.ledger.rounds.open_pairs(round_id)
        return [pair.pair_id for pair in pairs], self.ledger.rounds.get(round_id).deadline_ns

    def remind(self, errand: Errand, reminder: Reminder, pair_ids: list[str], deadline_ns: int) -> None:
        """Remind the tier of pairs, unless the round is closed."""
        if pair_ids and not self.ledger.rounds.get(reminder.round).closed_ns:
            candidates = self.ledger.ranking.candidates(errand.job_id, reminder.round.number)
            pairs = [pair for pair in candidates if pair.pair_id in set(pair_ids)]
            self._send(errand, reminder, pairs, deadline_ns)

    def lose_reminder(self, reminder: Reminder, error: str) -> None:
        """A reminder failed; the round goes on without it."""
        subject = f"{reminder.round.prefix}{reminder.number}"
        incident = Incident(code="reminder_failed", subject=subject, message=f"{error}; the round goes on")
        self.ledger.jobs.add_incidents(reminder.job_id, "review", [incident])

    def _send(self, errand: Errand, reminder: Reminder, pairs: list[CandidateTrack], deadline_ns: int) -> None:
        assignment = self.ledger.jobs.assignment(errand.job_id)
        options, settings = assignment.request.options, self.settings
        query = self.ledger.ranking.query_tracks(errand.job_id)[0]
        request = ReviewPairsRequest(
            request_id=review_id(reminder),
            job_id=errand.job_id,
            round=reminder.round.number,
            pairs=[_review_pair(query, pair) for pair in pairs],
            callback_target=options.callback_target or settings.orchestrator_target,
            callback_token=assignment.callback_token,
            deadline_ns=deadline_ns,
            reminder=reminder.number,
        )
        target = options.tier_target or settings.tier_target
        with connect_outside(target, settings.tier_target, settings) as channel:
            call(errand, f"tier at {target}", TierStub(channel).ReviewPairs, request, settings.silence_seconds)

    def _deadline_seconds(self, job_id: str) -> int:
        options = self.ledger.jobs.assignment(job_id).request.options
        has_deadline = options.HasField("review_deadline_seconds")
        return options.review_deadline_seconds if has_deadline else DEFAULT_DEADLINE_SECONDS


def _review_pair(query: TrackRef, pair: CandidateTrack) -> ReviewPair:
    return ReviewPair(
        pair_id=pair.pair_id,
        clip_uri=pair.clip_uri,
        query=query,
        candidate=track_ref(pair),
        similarity=pair.similarity,
        cosine=pair.cosine,
        rank=pair.rank,
        space_time=pair.space_time,
        query_crop_uri=pair.query_crop_uri,
        candidate_crop_uri=pair.candidate_crop_uri,
    )
