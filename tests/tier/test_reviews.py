"""What the tier remembers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from tests.tier.scripted import review_request
from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.pairs import Verdict
from throughline.storage.database import open_database
from throughline.tier.records import MIGRATIONS, Base
from throughline.tier.reviews import Judgement, Reviews

REQUEST = review_request("localhost:1", "p1", "p2", "p3")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'deep' / 'tier.db'}"


@pytest.fixture
def reviews(url: str) -> Iterator[Reviews]:
    opened = Reviews.open(url)
    yield opened
    opened.close()


def _ids(reviews: Reviews) -> list[str]:
    return [pair.pair.pair_id for pair in reviews.pairs("job-1")]


def test_the_tables_are_those_of_the_migrations(url: str) -> None:
    engine = open_database(url, MIGRATIONS)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_pairs_come_back_in_their_order_and_outlive_the_process(reviews: Reviews, url: str) -> None:
    assert reviews.take(REQUEST) == 3
    reopened = Reviews.open(url)
    assert [pair.pair for pair in reopened.pairs("job-1")] == list(REQUEST.pairs)
    reopened.close()


def test_the_same_request_id_has_one_effect(reviews: Reviews) -> None:
    reviews.take(REQUEST)
    reviews.take(review_request("localhost:2", "p1", "p9"))
    assert _ids(reviews) == ["p1", "p2", "p3"]
    reviews.answer("job-1", [Judgement("p1", Verdict.VALID)], "ann")
    assert reviews.unsent()[0].callback_target == "localhost:1"


def test_a_reminder_adds_nothing_and_keeps_answers(reviews: Reviews) -> None:
    reviews.take(REQUEST)
    reviews.answer("job-1", [Judgement("p1", Verdict.VALID)], "ann")
    reviews.take(review_request("localhost:2", "p2", "p3", request_id="r-2", reminder=1))
    assert [(p.pair.pair_id, p.verdict) for p in reviews.pairs("job-1")] == [
        ("p1", Verdict.VALID),
        ("p2", None),
        ("p3", None),
    ]
    assert reviews.unsent()[0].callback_target == "localhost:2"


def test_the_latest_answer_is_shown_and_every_one_is_sent(reviews: Reviews) -> None:
    reviews.take(REQUEST)
    reviews.answer("job-1", [Judgement("p1", Verdict.VALID)], "ann")
    reviews.answer("job-1", [Judgement("p1", Verdict.UNSURE, "on second thoughts")], "bob")
    first = reviews.pairs("job-1")[0]
    assert (first.verdict, first.annotator, first.sent) == (Verdict.UNSURE, "bob", False)
    assert [batch.answers[0].verdict for batch in reviews.unsent()] == ["valid", "unsure"]


def test_rounds_are_apart(reviews: Reviews) -> None:
    reviews.take(REQUEST)
    reviews.take(review_request("localhost:1", "p4", request_id="r-2", round=2))
    assert _ids(reviews) == ["p4"]
    assert [p.pair.pair_id for p in reviews.pairs("job-1", 1)] == ["p1", "p2", "p3"]
    reviews.answer("job-1", [Judgement("p4", Verdict.VALID)], "ann")
    assert reviews.waiting() == [("job-1", 1)]


def test_answers_are_only_taken_for_pairs_that_are_there(reviews: Reviews) -> None:
    with pytest.raises(NotFound, match="no pairs of job job-1"):
        reviews.pairs("job-1")
    reviews.take(REQUEST)
    with pytest.raises(NotFound, match="no pair p9"):
        reviews.answer("job-1", [Judgement("p1", Verdict.VALID), Judgement("p9", Verdict.VALID)], "ann")
    assert reviews.unsent() == []


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (review_request("localhost:1"), "pairs: holds 0"),
        (review_request("localhost:1", ""), "empty pair_id"),
        (review_request("", "p1"), "callback_target"),
        (review_request("localhost:1", "p1", request_id=""), "request_id"),
        (review_request("localhost:1", "p1", callback_token=""), "callback_token"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused(reviews: Reviews, request_: object, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        reviews.take(request_)  # type: ignore[arg-type]
