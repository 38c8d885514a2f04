"""`throughline review`: people answer the pairs of a job, in the reference tier.

It works on the tier's own database, on the tier's machine; a tier of your own would have its own pages for this.
"""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from throughline.cli import options, words
from throughline.cli.deployment import Deployment
from throughline.domain.errors import DependencyUnavailable, ThroughlineError
from throughline.domain.pairs import Verdict
from throughline.storage.objects import ObjectStore, open_objects
from throughline.storage.workspace import Workspace
from throughline.tier.callback import deliver
from throughline.tier.judge import TruthJudge
from throughline.tier.reviews import AnsweredPair, Judgement, Reviews
from throughline.tier.settings import TierSettings
from throughline.wire.settings import ServiceSettings

_VERDICTS = {"y": Verdict.VALID, "n": Verdict.INVALID, "u": Verdict.UNSURE}
_PLAYER_VARIABLE = "THROUGHLINE_PLAYER"
_AWAY_SECONDS = 20.0
_PAUSE_SECONDS = 1.0


def review(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Id that `submit` printed.")],
    list_only: Annotated[bool, typer.Option("--list", help="Show the pairs and ask nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Ask for answered pairs too; the latest answer wins.")] = False,
    play: Annotated[
        bool, typer.Option(help=f"Play each clip; with ${_PLAYER_VARIABLE} or what opens MP4 here.")
    ] = False,
    round_number: Annotated[int, typer.Option("--round", help="Round of review. Default: the latest.")] = 0,
    annotator: Annotated[str, typer.Option(help="Your name. Default: that of the login.")] = "",
    truth: Annotated[Path | None, typer.Option(help="Answer from a simulated store's truth.parquet instead.")] = None,
    home: options.Home = None,
) -> None:
    """Answer the pairs of a job: y (same person), n (different), u (can't tell), each with a remark if you like."""
    settings = _settings(home)
    objects = open_objects(settings)
    console = Console()
    reviews = Reviews.open(settings.tier_database_url)
    try:
        pairs = reviews.pairs(job_id, round_number)
        console.print(_table(pairs, objects))
        if list_only:
            return
        desk = _Desk(reviews, settings, console, job_id, round_number, annotator or getpass.getuser())
        asked = [pair for pair in pairs if again or pair.verdict is None]
        if truth is not None:
            judge = TruthJudge(truth, Workspace(settings.workspace_uri, objects, settings.cache_dir))
            desk.keep([judge.judge(pair.pair) for pair in asked])
        else:
            _ask(asked, desk, objects if play else None)
        desk.send_patiently()
    finally:
        reviews.close()


def _settings(home: Path | None) -> TierSettings:
    """The tier's own, where this runs with its variables, as in its container; else those of the deployment that `up` started."""
    own = TierSettings()
    if home is None and "tier_database_url" in own.model_fields_set:
        return own
    deployment = Deployment.load(options.home_of(home))
    return TierSettings(
        token=deployment.token,
        workspace_uri=deployment.workspace_uri,
        allowed_roots=(deployment.home / "workspace",),
        cache_dir=deployment.home / "cache",
        tier_database_url=deployment.tier_database_url,
    )


class _Desk:
    """Keeps answers and sends them; what cannot be sent now is sent by the tier when the orchestrator is back."""

    def __init__(
        self,
        reviews: Reviews,
        settings: ServiceSettings,
        console: Console,
        job_id: str,
        round_number: int,
        annotator: str,
    ) -> None:
        self.console = console
        self._reviews = reviews
        self._settings = settings
        self._job_id = job_id
        self._round = round_number
        self._annotator = annotator

    def keep(self, judgements: list[Judgement]) -> None:
        """Write answers down, and try once to send them."""
        if judgements:
            self._reviews.answer(self._job_id, judgements, self._annotator, self._round)
            self._send()

    def send_patiently(self) -> None:
        """Send what is left, waiting for an orchestrator that is away. Raises what it refused."""
        deadline = time.monotonic() + _AWAY_SECONDS
        while failures := self._send():
            if time.monotonic() > deadline:
                self.console.print(
                    f"kept: {escape(str(failures[0]))}; the tier sends the answers when it can be reached",
                    style="yellow",
                )
                return
            time.sleep(_PAUSE_SECONDS)

    def _send(self) -> list[ThroughlineError]:
        failures = deliver(self._reviews, self._settings)
        for error in failures:
            if not error.retryable:
                raise error
        return failures


def _ask(pairs: list[AnsweredPair], desk: _Desk, to_play: ObjectStore | None) -> None:
    for number, pair in enumerate(pairs, start=1):
        clip = pair.pair.clip_uri
        desk.console.print(f"\n[bold]{number} of {len(pairs)}[/]  {_line(pair)}", highlight=False)
        desk.console.print(clip, style="dim", markup=False, highlight=False, soft_wrap=True)
        if to_play is not None:
            _play(clip, to_play, desk.console)
        while True:
            answer = typer.prompt("same person? y/n/u, and a remark; s skips, q ends").strip()
            letter, _, remark = answer.partition(" ")
            if letter.lower() in _VERDICTS:
                desk.keep([Judgement(pair.pair.pair_id, _VERDICTS[letter.lower()], remark.strip())])
                break
            if letter.lower() == "q":
                return
            if letter.lower() == "s":
                break
            desk.console.print("y, n, u, s or q", style="yellow")


def _line(pair: AnsweredPair) -> str:
    track = pair.pair.candidate
    text = f"similarity {pair.pair.similarity:.3f}, {escape(track.camera)}, {words.span(track.span)}"
    return f"{text}; {escape(pair.pair.space_time)}" if pair.pair.space_time else text


def _table(pairs: list[AnsweredPair], objects: ObjectStore) -> Table:
    table = Table("rank", "similarity", "camera", "seen (UTC)", "answer", "by", Column("clip", overflow="fold"))
    for pair in pairs:
        answer = f"{pair.verdict or ''}{'' if pair.sent or not pair.verdict else ' (not sent)'}"
        table.add_row(
            str(pair.pair.rank),
            f"{pair.pair.similarity:.3f}",
            escape(pair.pair.candidate.camera),
            words.span(pair.pair.candidate.span),
            answer,
            escape(pair.annotator),
            escape(str(objects.local_path(pair.pair.clip_uri) or pair.pair.clip_uri)),
        )
    return table


def _play(clip_uri: str, objects: ObjectStore, console: Console) -> None:
    """Show a clip and come back at once, or when the player of $THROUGHLINE_PLAYER ends."""
    try:
        path = objects.local_path(clip_uri) or _fetched(clip_uri, objects)
    except DependencyUnavailable as error:
        console.print(str(error), style="yellow", markup=False)
        return
    if player := os.environ.get(_PLAYER_VARIABLE):
        subprocess.run([*shlex.split(player), str(path)], check=False)
    elif typer.launch(str(path)):
        console.print(f"nothing opens MP4 here; set ${_PLAYER_VARIABLE}, or open {path}", style="yellow", markup=False)


def _fetched(clip_uri: str, objects: ObjectStore) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="throughline-review-"))
    path = folder / "clip.mp4"
    objects.fetch(clip_uri, path)
    return path
