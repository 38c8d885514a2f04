"""The Tier service over the wire."""

from __future__ import annotations

import grpc

from throughline.domain.errors import PermissionDenied
from throughline.tier.postman import Postman
from throughline.tier.reviews import Reviews
from throughline.tier.settings import TierSettings
from throughline.v1.tier_pb2 import ReviewPairsRequest, ReviewPairsResponse
from throughline.v1.tier_pb2_grpc import TierServicer


class Tier(TierServicer):
    """Takes pairs."""

    def __init__(self, reviews: Reviews, postman: Postman, settings: TierSettings) -> None:
        self._reviews = reviews
        self._postman = postman
        self._settings = settings

    def ReviewPairs(self, request: ReviewPairsRequest, context: grpc.ServicerContext) -> ReviewPairsResponse:
        allowed = self._settings.tier_callback_targets
        if allowed and request.callback_target not in allowed:
            raise PermissionDenied(
                f"answers may not be sent to {request.callback_target}; THROUGHLINE_TIER_CALLBACK_TARGETS allows {', '.join(allowed)}"
            )
        accepted = self._reviews.take(request)
        self._postman.wake()
        return ReviewPairsResponse(accepted=accepted)
