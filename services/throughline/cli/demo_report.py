"""What the demonstration found, whether that is right, and the table that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from throughline.alert.announcements import Announcements
from throughline.cli import words
from throughline.cli.deployment import Deployment
from throughline.cli.evidence.finding import Finding, Outcome
from throughline.cli.keys import trusted_keys
from throughline.cli.verify import examine, readable_objects, status
from throughline.domain.time import NS_PER_SECOND
from throughline.media.film import Film, played
from throughline.simulation.evaluation import Evaluation, evaluate
from throughline.simulation.truth import StoreTruth
from throughline.storage.objects import open_objects
from throughline.storage.signing import load_public_keys
from throughline.storage.workspace import Workspace
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import VERDICT_UNSPECIFIED, VERDICT_VALID
from throughline.wire.settings import ServiceSettings

MIN_RECALL = 0.9
MIN_PRECISION = 0.3
MIN_RIGHT_SHARE = 0.95
MIN_EDGES = 0.9
_DURATION_TOLERANCE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known after the job. `evaluation` is None where it did not come to a film."""

    job: pb.Job
    evaluation: Evaluation | None
    film: Film | None
    contact_sheet: Path | None
    clips: tuple[Path, ...]
    alerts: int
    evidence: tuple[Finding, ...] = ()
    """What verifying the film's evidence found."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be right."""

    what: str
    passed: bool
    found: str


def findings(deployment: Deployment, job: pb.Job, store: StoreTruth) -> Findings:
    """Look at everything that the job left."""
    announcements = Announcements.open(deployment.alert_database_url)
    alerts = len(announcements.all(job.job_id))
    announcements.close()
    if not job.timeline.film_uri:
        return Findings(job, None, None, None, (), alerts)
    settings = ServiceSettings(
        workspace_uri=deployment.workspace_uri,
        allowed_roots=(deployment.home / "workspace",),
        cache_dir=deployment.home / "cache",
    )
    objects = open_objects(settings)
    paths = [objects.local_path(each.clip_uri) for each in job.candidates if each.clip_uri]
    film, sheet = objects.local_path(job.timeline.film_uri), objects.local_path(job.timeline.contact_sheet_uri)
    return Findings(
        job=job,
        evaluation=evaluate(
            Workspace(deployment.workspace_uri, objects, settings.cache_dir),
            job,
            store,
            store.document.queries[0].person,
        ),
        film=played(film) if film else None,
        contact_sheet=sheet,
        clips=tuple(path for path in paths if path is not None),
        alerts=alerts,
        evidence=_verified(deployment, job),
    )


def _verified(deployment: Deployment, job: pb.Job) -> tuple[Finding, ...]:
    if not job.timeline.evidence_uri:
        return ()
    trusted = load_public_keys(trusted_keys(deployment.home))
    with readable_objects(deployment.home) as readable:
        return tuple(examine(job.timeline.evidence_uri, readable, trusted))


def checks(found: Findings) -> list[Check]:
    """Everything that has to be right for the demonstration to have succeeded."""
    job, evaluation, film = found.job, found.evaluation, found.film
    result = [Check("job succeeded", job.state == pb.JOB_STATE_SUCCEEDED, job.error or words.state(job.state))]
    if evaluation is None or film is None:
        return result
    retrieval, length = evaluation.retrieval, job.timeline.duration_ns / NS_PER_SECOND
    unanswered = sum(each.verdict == VERDICT_UNSPECIFIED for each in job.candidates)
    return [
        *result,
        Check("query located on the right person", evaluation.located, f"IoU {job.query_iou:.2f}"),
        Check(f"recall at 0.5 ≥ {MIN_RECALL}", retrieval.recall >= MIN_RECALL, _recall(evaluation)),
        Check(
            f"precision at 0.5 ≥ {MIN_PRECISION}", retrieval.precision >= MIN_PRECISION, f"{retrieval.precision:.2f}"
        ),
        Check(
            "every pair has a clip and an answer",
            len(found.clips) == len(job.candidates) and not unanswered,
            f"{len(found.clips)} clips, {unanswered} unanswered",
        ),
        Check(
            "film plays to its end",
            film.frames > 0 and abs(film.seconds - length) <= _DURATION_TOLERANCE_SECONDS,
            f"{film.frames} frames, {film.seconds:.1f} s of {length:.1f} s",
        ),
        Check(
            f"film shows the right cameras ≥ {MIN_RIGHT_SHARE:.0%} of the time",
            evaluation.film.right_share >= MIN_RIGHT_SHARE,
            f"{evaluation.film.right_share:.1%} of {evaluation.film.owed_ns / NS_PER_SECOND:.1f} s",
        ),
        Check(
            f"{MIN_EDGES:.0%} of entrances and exits within 0.5 s",
            evaluation.film.edges_within() >= MIN_EDGES,
            f"{evaluation.film.edges_within():.1%}",
        ),
        Check("contact sheet is a picture", _is_picture(found.contact_sheet), str(found.contact_sheet)),
        Check("alert heard once", found.alerts == 1, str(found.alerts)),
        Check("evidence holds, to the last byte", *_proven(found.evidence)),
    ]


def _proven(evidence: tuple[Finding, ...]) -> tuple[bool, str]:
    wrong = [finding.text for finding in evidence if finding.outcome in (Outcome.CHANGED, Outcome.UNCHECKED)]
    right = sum(finding.outcome is Outcome.RIGHT for finding in evidence)
    return bool(evidence) and status(evidence) == 0, wrong[0] if wrong else f"{right} things checked"


def _recall(evaluation: Evaluation) -> str:
    retrieval = evaluation.retrieval
    missed = f", missed {', '.join(f'{camera} {number}' for camera, number in retrieval.missed)}"
    return f"{retrieval.recall:.2f} of {retrieval.true}{missed if retrieval.missed else ''}"


def _is_picture(path: Path | None) -> bool:
    return path is not None and cv2.imread(str(path)) is not None


def report(console: Console, found: Findings, results: list[Check], seconds: Mapping[str, float]) -> None:
    """Write the table at the end."""
    for check in results:
        mark = "[green]right[/]" if check.passed else "[bold red]WRONG[/]"
        console.print(f"{mark}  {check.what}: {escape(check.found)}", highlight=False, soft_wrap=True)
    table = Table(show_header=False, title="Throughline demo", title_justify="left")
    for name, value in _rows(found):
        table.add_row(name, value)
    for timing in found.job.timings:
        table.add_row(words.stage(timing.stage), f"{timing.seconds:.1f} s")
    for part, taken in seconds.items():
        table.add_row(f"demo: {part}", f"{taken:.1f} s")
    table.add_row("demo: in all", f"{sum(seconds.values()):.1f} s")
    console.print(table)
    if found.film:  # whole, for copying
        evidence = found.job.timeline.evidence_uri
        for name, path in (("film", found.film.path), ("contact sheet", found.contact_sheet), ("evidence", evidence)):
            console.print(f"{name:<15}{path}", soft_wrap=True, highlight=False, markup=False)
    if found.clips:
        console.print(f"{'pair videos':<15}{found.clips[0].parents[1]}", soft_wrap=True, highlight=False, markup=False)


def _rows(found: Findings) -> list[tuple[str, str]]:
    evaluation = found.evaluation
    if evaluation is None:
        return [("job", words.state(found.job.state))]
    retrieval = evaluation.retrieval
    confirmed = sum(each.verdict == VERDICT_VALID for each in found.job.candidates)
    return [
        ("candidates found", f"{retrieval.candidates}, {confirmed} confirmed"),
        ("recall", f"{retrieval.recall:.2f} of {retrieval.true} true candidates"),
        ("precision", f"{retrieval.precision:.2f}"),
        ("AUC", f"{retrieval.auc:.3f}"),
        ("film", f"{found.film.seconds:.1f} s" if found.film else ""),
        ("film, whole stays", f"{evaluation.film.stay_share:.1%} of {evaluation.film.stays_ns / NS_PER_SECOND:.1f} s"),
    ]
