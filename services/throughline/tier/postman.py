"""The tier's background thread: answers from ground truth where it has some, and sends answers until they were taken."""

from __future__ import annotations

import logging
import threading

from throughline.domain.errors import ThroughlineError
from throughline.tier.callback import deliver
from throughline.tier.judge import TruthJudge
from throughline.tier.reviews import Reviews
from throughline.tier.settings import TierSettings
from throughline.wire.subject import working_for

_ANNOTATOR = "ground truth"
_log = logging.getLogger(__name__)


class Postman:
    """Wakes up when there is news, and every few seconds for what could not be done before."""

    def __init__(self, reviews: Reviews, judge: TruthJudge | None, settings: TierSettings) -> None:
        self._reviews = reviews
        self._judge = judge
        self._settings = settings
        self._news = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="postman", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something has come in."""
        self._news.set()

    def stop(self) -> None:
        """Finish what it is at, then end."""
        self._stopping = True
        self._news.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self._news.clear()
            try:
                self._turn()
            except Exception:
                _log.exception("this turn failed; the next one tries again")
            if not self._stopping:
                self._news.wait(self._settings.tier_retry_seconds)

    def _turn(self) -> None:
        if self._judge is not None:
            self._answer_all(self._judge)
        for error in deliver(self._reviews, self._settings):
            _log.warning("answers not delivered: %s", error)

    def _answer_all(self, judge: TruthJudge) -> None:
        for job_id, round_number in self._reviews.waiting():
            with working_for(job=job_id):
                self._answer(judge, job_id, round_number)

    def _answer(self, judge: TruthJudge, job_id: str, round_number: int) -> None:
        waiting = [pair.pair for pair in self._reviews.pairs(job_id, round_number) if pair.verdict is None]
        try:
            judgements = [judge.judge(pair) for pair in waiting]
        except (ThroughlineError, KeyError) as error:
            _log.warning("job %s cannot be answered from ground truth: %r", job_id, error)
            return
        self._reviews.answer(job_id, judgements, _ANNOTATOR, round_number)
        _log.info("job %s round %d: answered %d pairs from ground truth", job_id, round_number, len(judgements))
