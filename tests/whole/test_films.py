"""Films made anew, and the film of a query to whom nobody is similar."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from tests.whole.deployment import Theatre
from throughline.cli.connection import orchestrator
from throughline.cli.evidence.finding import Outcome
from throughline.cli.keys import trusted_keys
from throughline.cli.main import app
from throughline.cli.verify import examine, readable_objects
from throughline.domain.evidence import Evidence
from throughline.domain.time import Interval
from throughline.storage.database import open_database
from throughline.storage.evidence import unseal
from throughline.storage.signing import load_public_keys
from throughline.tier.records import MIGRATIONS, Review
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import SIMILARITY_SCALE_COSINE, STAGE_ALERT, VERDICT_INVALID, VERDICT_VALID


def callback_token(theatre: Theatre, job_id: str) -> str:
    tier = open_database(theatre.deployment.tier_database_url, MIGRATIONS)
    with Session(tier) as session:
        token = session.scalars(select(Review.callback_token).filter_by(job_id=job_id)).one()
    tier.dispose()
    return token


def shown_ns(film: tuple[tuple[Interval, tuple[str, ...]], ...]) -> int:
    """How long all cameras of a film are on the screen together."""
    return sum(span.duration_ns * len(cameras) for span, cameras in film)


def test_a_late_answer_changes_the_film_that_is_made_anew_and_nothing_else(
    theatre: Theatre, undisturbed_job: pb.Job
) -> None:
    job = theatre.finished(theatre.submit("rebuild", undisturbed_job.footage_uri))
    first = theatre.outcome(job)
    assert first == theatre.outcome(undisturbed_job), "the same question over the same footage"
    valid = next(each for each in job.candidates if each.verdict == VERDICT_VALID)
    answers = pb.AnnotationResultRequest(
        request_id="second-thoughts",
        job_id=job.job_id,
        callback_token=callback_token(theatre, job.job_id),
        annotations=[
            pb.Annotation(pair_id=each.pair_id, verdict=VERDICT_INVALID, annotator="late")
            for each in job.candidates
            if each.track.camera == valid.track.camera
        ],
    )
    rebuild = pb.RebuildTimelineRequest(request_id="again", job_id=job.job_id)
    with orchestrator(theatre.deployment.home) as stub:
        said = stub.AnnotationResult(answers, timeout=10)
        assert (said.accepted, said.late) == (0, len(answers.annotations))
        assert [stub.RebuildTimeline(rebuild, timeout=10).revision for _ in range(2)] == [2, 2]
    job = theatre.until(job.job_id, lambda job: (STAGE_ALERT, 2) in [(each.stage, each.runs) for each in job.timings])
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert job.timeline.film_uri.endswith("/timelines/2/film.mp4")
    again = theatre.outcome(job)
    assert again.candidates == first.candidates, "the round stays as it was closed"
    query_camera = job.query_tracks[0].camera
    removed = {valid.track.camera} - {query_camera}
    assert {camera for _, cameras in first.film for camera in cameras} - removed == {
        camera for _, cameras in again.film for camera in cameras
    }
    assert shown_ns(again.film) < shown_ns(first.film)
    assert theatre.effects(job).alerts == 2
    evidence = evidence_of(theatre, job)
    assert (evidence.film.revision, evidence.film.duration_ns) == (2, job.timeline.duration_ns)
    answers_of = {pair.pair_id: pair.answers for pair in evidence.pairs}[valid.pair_id]
    assert [(each.verdict, each.late, each.counted) for each in answers_of] == [
        ("valid", False, False),
        ("invalid", True, True),
    ]


def evidence_of(theatre: Theatre, job: pb.Job) -> Evidence:
    """The evidence of a job's film, found to be right in everything."""
    home = theatre.deployment.home
    with readable_objects(home) as objects:
        findings = examine(job.timeline.evidence_uri, objects, load_public_keys(trusted_keys(home)))
    wrong = [finding.text for finding in findings if finding.outcome is not Outcome.RIGHT]
    assert not wrong
    return unseal(Path(job.timeline.evidence_uri.removeprefix("file://")).read_bytes()).evidence


def test_the_evidence_of_a_film_holds_until_a_chunk_is_touched(theatre: Theatre, undisturbed_job: pb.Job) -> None:
    job = theatre.finished(theatre.submit("evidence"))
    evidence = evidence_of(theatre, job)
    assert {tile.camera for span in evidence.spans for tile in span.tiles} == {
        camera for _, cameras in theatre.outcome(job).film for camera in cameras
    }
    assert all(each.start is not None for span in evidence.spans for tile in span.tiles for each in tile.bytes)
    assert all(camera.models["reid"] for camera in evidence.cameras)
    chunk = Path(evidence.sources[-1].uri.removeprefix("file://"))
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    command = ["verify", job.timeline.evidence_uri, "--home", str(theatre.deployment.home)]
    told = CliRunner().invoke(app, command, env={"COLUMNS": "250"})
    assert told.exit_code == 1
    assert f"chunk {evidence.sources[-1].camera}/{evidence.sources[-1].name}" in told.stdout


def test_a_job_without_candidates_ends_with_the_query_alone_and_says_so(
    theatre: Theatre, undisturbed_job: pb.Job
) -> None:
    job = theatre.finished(
        theatre.submit(
            "alone",
            undisturbed_job.footage_uri,
            similarity_threshold=1.0,
            threshold_scale=SIMILARITY_SCALE_COSINE,
        )
    )
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    assert job.timeline.query_only
    assert not job.timeline.partial
    assert "no_candidates" in [incident.code for incident in job.incidents]
    assert not job.candidates
    assert {cameras for _, cameras in theatre.outcome(job).film} == {(job.query_tracks[0].camera,)}
    assert theatre.effects(job).pairs_at_tier == 0
    assert theatre.effects(job).alerts == 1
