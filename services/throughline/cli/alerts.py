"""`throughline alerts`: what the reference receiver was told."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from throughline.alert.announcements import Announcements
from throughline.alert.settings import AlertSettings
from throughline.cli import options, words
from throughline.cli.deployment import Deployment


def alerts(
    job_id: Annotated[str, typer.Argument(metavar="[JOB]", help="Only those of this job.")] = "",
    home: options.Home = None,
) -> None:
    """List finished films that the alert receiver has heard of."""
    own = AlertSettings()  # where this runs with the receiver's variables, as in its container
    if home is None and "alert_database_url" in own.model_fields_set:
        url = own.alert_database_url
    else:
        url = Deployment.load(options.home_of(home)).alert_database_url
    announcements = Announcements.open(url)
    table = Table("heard (UTC)", "job", "query", "appearances", Column("film", overflow="fold"))
    try:
        for heard in announcements.all(job_id):
            seen = ", ".join(f"{each.camera} {words.span(each.span)}" for each in heard.request.appearances)
            table.add_row(
                words.moment(heard.received.ns),
                heard.request.job_id,
                escape(heard.request.query_label),
                escape(seen),
                escape(heard.request.timeline.film_uri),
            )
    finally:
        announcements.close()
    Console().print(table)
