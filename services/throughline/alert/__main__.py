"""Starts the reference alert receiver: `python -m throughline.alert`."""

from __future__ import annotations

from functools import partial

from throughline.alert.announcements import Announcements
from throughline.alert.servicer import Alert
from throughline.alert.settings import AlertSettings
from throughline.v1.alert_pb2_grpc import add_AlertServicer_to_server
from throughline.wire.service import Service, run


def build(settings: AlertSettings | None = None) -> Service:
    """The service, its database open."""
    announcements = Announcements.open((settings or AlertSettings()).alert_database_url)
    return Service(
        name="alert",
        proto_names=("throughline.v1.Alert",),
        add_to_server=partial(add_AlertServicer_to_server, Alert(announcements)),
        close=announcements.close,
    )


if __name__ == "__main__":
    run(build, name="alert")
