"""The footage of a job, listed once: whatever happens to the bucket later, and however often a job starts again, these are its objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from throughline.domain.errors import Conflict, InvalidInput
from throughline.domain.footage import Listing
from throughline.ingest.listing import list_footage
from throughline.storage import documents
from throughline.storage.object_store import ObjectStore, go_on
from throughline.storage.workspace import Artifact, Workspace

FOOTAGE = "footage.json"
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def pin_footage(  # noqa: PLR0913 - what is listed, and where it is kept
    objects: ObjectStore,
    workspace: Workspace,
    job_id: str,
    footage_uri: str,
    cameras: Collection[str],
    extensions: Collection[str],
    *,
    check: Callable[[], None] = go_on,
) -> tuple[Artifact, Listing]:
    """List the footage and keep the listing with the job, or find the one that was kept.

    Raises Conflict where the job has a listing of another place, NoUsableFootage, and what the store raises.
    """
    if not _JOB_ID.fullmatch(job_id):
        raise InvalidInput(f"job_id {job_id!r}: give up to 128 letters, digits, dots, dashes and underscores")
    folder = f"jobs/{job_id}/footage"
    if workspace.find(folder) is None:
        listing = list_footage(objects, footage_uri, cameras, extensions, check)
        with workspace.create(folder) as made:
            (made / FOOTAGE).write_bytes(documents.dump(listing))
    artifact = workspace.get(folder)
    listing = read_footage(artifact)
    if listing.uri.rstrip("/") != footage_uri.rstrip("/"):
        raise Conflict(f"job {job_id} has a listing of {listing.uri}, not of {footage_uri}; use another job_id")
    return artifact, listing


def read_footage(artifact: Artifact) -> Listing:
    """The listing that an artifact holds."""
    return documents.load(Listing, artifact.path(FOOTAGE).read_bytes())
