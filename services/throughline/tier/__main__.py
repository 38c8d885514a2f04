"""Starts the reference tier: `python -m throughline.tier`."""

from __future__ import annotations

from functools import partial

from throughline.storage.objects import open_objects
from throughline.storage.workspace import Workspace
from throughline.tier.judge import TruthJudge
from throughline.tier.postman import Postman
from throughline.tier.reviews import Reviews
from throughline.tier.servicer import Tier
from throughline.tier.settings import TierSettings
from throughline.v1.tier_pb2_grpc import add_TierServicer_to_server
from throughline.wire.service import Service, run


def build(settings: TierSettings | None = None) -> Service:
    """The service, its thread running."""
    settings = settings or TierSettings()
    judge = TruthJudge(settings.tier_truth, _workspace(settings)) if settings.tier_truth else None
    reviews = Reviews.open(settings.tier_database_url)
    postman = Postman(reviews, judge, settings)
    postman.start()

    def close() -> None:
        postman.stop()
        reviews.close()

    return Service(
        name="tier",
        proto_names=("throughline.v1.Tier",),
        add_to_server=partial(add_TierServicer_to_server, Tier(reviews, postman, settings)),
        close=close,
    )


def _workspace(settings: TierSettings) -> Workspace:
    return Workspace(settings.workspace_uri, open_objects(settings), settings.cache_dir)


if __name__ == "__main__":
    run(build, name="tier")
