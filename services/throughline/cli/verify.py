"""`throughline verify`: is a film, and what it rests on, still what its evidence says?"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from throughline.cli import options
from throughline.cli.deployment import Deployment
from throughline.cli.evidence.checks import Checker, check_signature
from throughline.cli.evidence.finding import Finding, Outcome
from throughline.cli.evidence.places import places
from throughline.cli.keys import trusted_keys
from throughline.cli.stack import object_store_environment
from throughline.domain.errors import CorruptArtifact, NotFound, PermissionDenied, ThroughlineError
from throughline.storage.evidence import FILE, MAX_BYTES, unseal
from throughline.storage.object_store import ObjectStore
from throughline.storage.objects import file_uri, open_objects
from throughline.storage.signing import PublicKey, load_public_keys
from throughline.wire.settings import ServiceSettings

RIGHT, CHANGED, INCOMPLETE = 0, 1, 2
"""Status: all of it was checked and is right; something was changed; nothing was found changed, but not all could be checked."""
_MOST_UNCHECKED = 10
"""How many things that could not be checked are named."""
_STYLES = {Outcome.CHANGED: "bold red", Outcome.UNCHECKED: "yellow", Outcome.NOTE: "cyan", Outcome.RIGHT: "green"}
_WORDS = {Outcome.CHANGED: "CHANGED", Outcome.UNCHECKED: "not checked", Outcome.NOTE: "note", Outcome.RIGHT: "right"}


def verify(
    evidence: Annotated[str, typer.Argument(help="evidence.json: a path, a folder that has one, or a URI.")],
    public_key: Annotated[
        list[Path] | None, typer.Option(help="Key to trust, PEM; may be given several times. Default: those of --home.")
    ] = None,
    workspace: Annotated[str, typer.Option(help="Where the workspace is now, URI; default: where it was.")] = "",
    footage: Annotated[str, typer.Option(help="Where the footage is now, URI; default: where it was.")] = "",
    searched: Annotated[
        bool, typer.Option(help="Check chunks too that were searched and are not in the film.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every finding, as JSON.")] = False,
    home: options.Home = None,
) -> None:
    """Check a film's evidence: its signature, the film, and every file and chunk that the film rests on.

    Status 0: all was checked and is right. 1: something was changed. 2: nothing was found changed, but not all could be checked.
    """
    console = Console(stderr=True)
    try:
        folder = options.home_of(home)
        trusted = load_public_keys(public_key or trusted_keys(folder))
        with readable_objects(folder) as objects:
            findings = examine(evidence, objects, trusted, workspace, footage, searched)
    except ThroughlineError as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(INCOMPLETE) from error
    if as_json:
        print(json.dumps({"status": status(findings), "findings": [asdict(each) for each in findings]}, indent=2))
    else:
        report(findings, Console())
    raise typer.Exit(status(findings))


def examine(
    place: str,
    objects: ObjectStore,
    trusted: Mapping[str, PublicKey],
    workspace: str = "",
    footage: str = "",
    with_searched: bool = False,
) -> list[Finding]:
    """Everything that was found about the evidence at `place`, the worst first; raise NotFound where there is none."""
    file, data = _read(place, objects)
    try:
        sealed = unseal(data)
    except CorruptArtifact as error:
        return [Finding(Outcome.CHANGED, FILE, f"was changed: {error}; nothing that it says can be relied upon", place)]
    findings = [check_signature(sealed, trusted)]
    with places(sealed.evidence, objects, file, workspace, footage) as found:
        findings += Checker(found, with_searched).run()
    return sorted(findings, key=lambda finding: list(Outcome).index(finding.outcome))


def status(findings: Iterable[Finding]) -> int:
    """What the command ends with."""
    outcomes = {finding.outcome for finding in findings}
    return CHANGED if Outcome.CHANGED in outcomes else INCOMPLETE if Outcome.UNCHECKED in outcomes else RIGHT


def report(findings: Sequence[Finding], console: Console) -> None:
    """Everything that is not right, and how much is."""
    told = Counter[Outcome]()
    for finding in findings:
        if finding.outcome is Outcome.RIGHT and not finding.subject.startswith(("signature", "account")):
            continue
        told[finding.outcome] += 1
        if finding.outcome is not Outcome.UNCHECKED or told[finding.outcome] <= _MOST_UNCHECKED:
            console.print(f"[{_STYLES[finding.outcome]}]{_WORDS[finding.outcome]:<11}[/]", end=" ")
            console.print(finding.text, markup=False, highlight=False, soft_wrap=True)
    if told[Outcome.UNCHECKED] > _MOST_UNCHECKED:
        more = told[Outcome.UNCHECKED] - _MOST_UNCHECKED
        console.print(f"{more} more could not be checked; --json names them all", highlight=False, soft_wrap=True)
    right = Counter(finding.subject.partition(" ")[0] for finding in findings if finding.outcome is Outcome.RIGHT)
    counted = ", ".join(
        f"{right[kind]} {kind}" for kind in ("film", "query", "listing", "reel", "tracks", "chunk", "copied")
    )
    console.print(f"as they were: {counted}", highlight=False, soft_wrap=True)
    console.print(_SUMMARIES[status(findings)], style="bold", highlight=False)


_SUMMARIES = {
    RIGHT: "Everything is as it was signed.",
    CHANGED: "Something was changed.",
    INCOMPLETE: "Nothing was found changed, but not all could be checked.",
}


def _read(place: str, objects: ObjectStore) -> tuple[Path | None, bytes]:
    uri = place if "://" in place else file_uri(Path(place))
    path = objects.local_path(uri)
    try:
        if path is not None and path.is_dir():
            path, uri = path / FILE, f"{uri.rstrip('/')}/{FILE}"
        if path is not None and not path.is_file():
            raise NotFound(f"there is no {path}; name an {FILE}, or a folder that has one")
    except PermissionError as error:
        raise PermissionDenied(f"you may not read {path}; ask for the right to, or for a copy") from error
    return path, objects.read(uri, MAX_BYTES)


@contextmanager
def readable_objects(home: Path) -> Iterator[ObjectStore]:
    """Whatever this machine may read, and the object store of the deployment that runs with `home`, if there is one."""
    settings = ServiceSettings(allowed_roots=(Path("/"),))
    endpoint = _local_endpoint(home)
    if not endpoint or settings.s3_endpoint_url:
        yield open_objects(settings)
        return
    local = settings.model_copy(update={"s3_endpoint_url": endpoint})
    given = {name: value for name, value in object_store_environment(endpoint).items() if name not in os.environ}
    os.environ.update(given)  # boto3 looks for credentials there when it is first used
    try:
        yield open_objects(local)
    finally:
        for name in given:
            del os.environ[name]


def _local_endpoint(home: Path) -> str:
    try:
        return Deployment.load(home).s3_endpoint_url
    except ThroughlineError:
        return ""
