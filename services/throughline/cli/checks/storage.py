"""Where things are kept: folders, the workspace, databases, and buckets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from throughline.alert.records import MIGRATIONS as ALERT_MIGRATIONS
from throughline.alert.settings import AlertSettings
from throughline.cli.checks.finding import Examined, Finding, State, looked, missing, ok, warning
from throughline.domain.errors import NotFound
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.storage.database import revisions
from throughline.storage.objects import open_objects
from throughline.storage.records.database import MIGRATIONS, normal_url
from throughline.tier.records import MIGRATIONS as TIER_MIGRATIONS
from throughline.tier.settings import TierSettings
from throughline.wire.settings import ServiceSettings

_GB = 10**9
_LEAST_FREE, _COMFORTABLE = 2 * _GB, 20 * _GB
_LISTED = 100
_TIMEOUT_SECONDS = 5.0


def check_storage(examined: Examined) -> Iterator[Finding]:
    """Places of this deployment's own, then those that were asked about."""
    settings = ServiceSettings()
    hasty = {"s3_patience_seconds": 0.0, "s3_timeout_seconds": min(settings.s3_timeout_seconds, _TIMEOUT_SECONDS)}
    settings = settings.model_copy(update=hasty)
    yield folder("home", examined.home)
    if "cache_dir" in settings.model_fields_set:
        yield folder("cache", settings.cache_dir)
    if settings.workspace_uri.startswith("file://"):
        yield folder("workspace", Path(settings.workspace_uri.removeprefix("file://")))
    elif settings.workspace_uri:
        yield bucket(settings.workspace_uri, settings)
    for name, url, migrations in _databases(examined.home):
        yield database(name, url, migrations)
    for uri in examined.uris:
        yield bucket(uri, settings)


def _databases(home: Path) -> Iterator[tuple[str, str, Path]]:
    """Those that the settings name, else those that `up` has made in its home."""
    orchestrator, tier, alert = OrchestratorSettings(), TierSettings(), AlertSettings()
    for name, settings, field, migrations in (
        ("orchestrator", orchestrator, "database_url", MIGRATIONS),
        ("tier", tier, "tier_database_url", TIER_MIGRATIONS),
        ("alert", alert, "alert_database_url", ALERT_MIGRATIONS),
    ):
        file = home / f"{name}.db"
        if field in settings.model_fields_set:
            yield name, normal_url(getattr(settings, field)), migrations
        elif file.exists():
            yield name, f"sqlite:///{file}", migrations


def folder(name: str, path: Path) -> Finding:
    """Whether it can be written to, and how much room there is. One that does not exist yet is looked at where it will be made."""
    there = next(each for each in (path, *path.parents) if each.exists())
    what = f"{name} {path}"
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return missing(
            what, f"can't be written to: {error.strerror}", f"let this user write to {there}, or choose another"
        )
    free = shutil.disk_usage(there).free
    found = f"{free / _GB:.1f} GB free"
    if free < _LEAST_FREE:
        return missing(what, found, "free some, or move it to a larger disk")
    if free < _COMFORTABLE:
        return warning(what, found, "a store's day takes tens of gigabytes: free some, or move it to a larger disk")
    return ok(what, found)


def database(name: str, url: str, migrations: Path) -> Finding:
    """Whether it answers, and whether its tables are those of this release."""
    parsed = make_url(url)
    what = f"database of {name}, {parsed.render_as_string(hide_password=True)}"
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        parent = folder(what, Path(parsed.database or "").absolute().parent)
        return (
            parent if parent.state is State.MISSING else ok(what, "not there yet; the service makes it when it starts")
        )
    try:
        current, newest = revisions(url, migrations)
    except ModuleNotFoundError as error:
        return missing(what, f"its driver is not installed: {error}", "install Throughline with the driver's extra")
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        return missing(what, f"can't be used: {reason}", "start it, and check host, name and password in its URL")
    if current == newest:
        return ok(what, f"at revision {current}")
    if current is None or current < newest:
        return ok(what, f"at revision {current or 'none'}; the service brings it to {newest} when it starts")
    return missing(what, f"at revision {current}, newer than this release's {newest}", "run the release that made it")


def bucket(uri: str, settings: ServiceSettings) -> Finding:
    """Whether the objects below a URI can be listed, and the first of them read."""

    def look() -> str:
        objects = open_objects(settings)
        found = list(islice(objects.list(uri if uri.endswith("/") else f"{uri}/"), _LISTED))
        if not found:
            raise NotFound(f"nothing lies below {uri}")
        with tempfile.TemporaryDirectory(prefix="throughline-doctor-") as scratch:
            smallest = min(found, key=lambda each: each.size_bytes)
            objects.fetch(smallest.uri, Path(scratch, "object"))
        return f"{len(found)}{' or more' if len(found) == _LISTED else ''} objects, {smallest.uri} was read"

    if uri == settings.workspace_uri:
        return looked(f"workspace {uri}", lambda: _listed(uri, settings), _GRANT)
    return looked(f"footage {uri}", look, f"{_GRANT}; file:// must lie below THROUGHLINE_ALLOWED_ROOTS")


_GRANT = "grant s3:ListBucket and s3:GetObject (and s3:PutObject for the workspace), and check endpoint and credentials"


def _listed(uri: str, settings: ServiceSettings) -> str:
    """A workspace may still be empty."""
    found = next(iter(open_objects(settings).list(uri if uri.endswith("/") else f"{uri}/")), None)
    return "can be listed" + ("" if found else "; it is empty")
