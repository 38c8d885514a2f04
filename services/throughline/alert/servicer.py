"""The Alert service over the wire."""

from __future__ import annotations

import logging

import grpc

from throughline.alert.announcements import Announcements
from throughline.v1.alert_pb2 import TimelineReadyRequest, TimelineReadyResponse
from throughline.v1.alert_pb2_grpc import AlertServicer

_log = logging.getLogger(__name__)


class Alert(AlertServicer):
    """Hears of finished films."""

    def __init__(self, announcements: Announcements) -> None:
        self._announcements = announcements

    def TimelineReady(self, request: TimelineReadyRequest, context: grpc.ServicerContext) -> TimelineReadyResponse:
        is_new = self._announcements.take(request)
        _log.info("job %s: film %s%s", request.job_id, request.timeline.film_uri, "" if is_new else " (heard before)")
        return TimelineReadyResponse()
