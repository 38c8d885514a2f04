"""`throughline jobs`, `job`, `cancel` and `rebuild`: what is known of jobs, and what can be asked of them."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer
from google.protobuf import json_format
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from throughline.cli import options, words
from throughline.cli.connection import CALL_SECONDS, orchestrator
from throughline.domain.time import NS_PER_SECOND
from throughline.v1 import orchestrator_pb2 as pb
from throughline.wire.tracing import trace_of

JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id that `submit` printed.")]


def jobs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most jobs to show.")] = 50, home: options.Home = None
) -> None:
    """List jobs, the newest first."""
    with orchestrator(home) as stub:
        answer = stub.ListJobs(pb.ListJobsRequest(page_size=limit), timeout=CALL_SECONDS)
    table = Table(
        Column("job", no_wrap=True, min_width=32),
        "state",
        "stage",
        "taken",
        Column("footage", overflow="fold"),
        "incidents",
    )
    for each in answer.jobs:
        table.add_row(
            each.job_id,
            words.state(each.state),
            words.stage(each.stage),
            words.moment(each.created_ns),
            escape(each.footage_uri),
            str(len(each.incidents) or ""),
        )
    Console().print(table)
    if answer.next_page_token:
        Console().print(f"There are more than {limit}; ask for them with --limit.")


def job(
    job_id: JobId,
    as_json: Annotated[bool, typer.Option("--json", help="All that is known, as JSON.")] = False,
    home: options.Home = None,
) -> None:
    """Show one job: candidates, verdicts, film, warnings and times."""
    with orchestrator(home) as stub:
        found = stub.GetJob(pb.GetJobRequest(job_id=job_id), timeout=CALL_SECONDS).job
    if as_json:
        print(json_format.MessageToJson(found, preserving_proto_field_name=True))
    else:
        show(found, Console())


def show(found: pb.Job, console: Console) -> None:
    """Write a job for people."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    say(f"[bold]{found.job_id}[/]  {words.state(found.state)}, taken {words.moment(found.created_ns)}")
    if found.error:
        say(f"[red]{escape(found.error)}[/]")
    for incident in found.incidents:
        say(f"[yellow]{incident.code}[/] {escape(incident.message)}")
    for track in found.query_tracks:
        say(
            f"query: {escape(track.camera)} track {track.track_id}, {words.span(track.span)}, IoU {found.query_iou:.2f}"
        )
    if found.candidates:
        console.print(candidate_table(found))
    if found.timeline.film_uri:
        say(f"film           {escape(found.timeline.film_uri)}  ({found.timeline.duration_ns / NS_PER_SECOND:.1f} s)")
        say(f"what it shows  {escape(found.timeline.timeline_json_uri)}")
        say(f"contact sheet  {escape(found.timeline.contact_sheet_uri)}")
        say(f"evidence       {escape(found.timeline.evidence_uri or 'none; see the incidents')}")
    if found.timings:
        say(", ".join(f"{words.stage(timing.stage)} {timing.seconds:.1f} s" for timing in found.timings))
    for pin in found.models:
        say(f"model          {escape(pin.name)} {pin.digest}")
    say(f"trace          {trace_of(found.job_id)}")


def candidate_table(found: pb.Job) -> Table:
    """Candidates in order, with what people said."""
    place = "round.rank" if found.round > 1 else "rank"
    table = Table(place, "similarity", "cosine", "camera", "track", "seen (UTC)", "verdict", "by", "pair")
    tells = any(each.space_time for each in found.candidates)
    if tells:
        table.add_column("space and time")
    for each in found.candidates:
        table.add_row(
            f"{each.round}.{each.rank}" if found.round > 1 else str(each.rank),
            f"{each.similarity:.3f}",
            f"{each.cosine:.3f}",
            escape(each.track.camera),
            str(each.track.track_id),
            words.span(each.track.span),
            words.verdict(each.verdict),
            escape(each.annotator),
            each.pair_id[:8],
            *([escape(each.space_time)] if tells else []),
        )
    return table


def cancel(
    job_id: JobId, reason: Annotated[str, typer.Option(help="Why, for the record.")] = "", home: options.Home = None
) -> None:
    """Stop a job; what it finished is kept."""
    request = pb.CancelJobRequest(request_id=f"cli-{uuid.uuid4().hex}", job_id=job_id, reason=reason)
    with orchestrator(home) as stub:
        print(words.state(stub.CancelJob(request, timeout=CALL_SECONDS).state))


def rebuild(job_id: JobId, home: options.Home = None) -> None:
    """Make the film anew from the answers as they stand now; print its number."""
    request = pb.RebuildTimelineRequest(request_id=f"cli-{uuid.uuid4().hex}", job_id=job_id)
    with orchestrator(home) as stub:
        print(stub.RebuildTimeline(request, timeout=CALL_SECONDS).revision)
