"""Starts the tracker service: `python -m throughline.tracker`."""

from __future__ import annotations

from functools import partial

from throughline.media.tuning import tune_for_pictures
from throughline.perception.triton.batches import Batches
from throughline.perception.triton.client import InferenceClient
from throughline.storage.objects import open_objects
from throughline.storage.workspace import Workspace
from throughline.tracker.identities.stage import IdentifyStage
from throughline.tracker.locate import LocateStage
from throughline.tracker.rank_stage import RankStage
from throughline.tracker.servicer import Tracker
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import TrackStage
from throughline.v1.tracker_pb2_grpc import add_TrackerServicer_to_server
from throughline.wire.service import Service, run


def build(settings: TrackerSettings | None = None) -> Service:
    """The service, ready to be served; Triton may still be on its way up."""
    settings = settings or TrackerSettings()
    tune_for_pictures()
    workspace = Workspace(settings.workspace_uri, open_objects(settings), settings.cache_dir)
    client = InferenceClient(
        settings.triton_target,
        max_in_flight=settings.triton_in_flight,
        patience_seconds=settings.triton_patience_seconds,
        tls=settings.triton_tls,
        sharing=settings.triton_sharing,
    )
    track = TrackStage(workspace, client, settings)
    servicer = Tracker(
        workspace,
        client,
        track,
        LocateStage(workspace),
        RankStage(workspace, client),
        IdentifyStage(workspace, client),
    )
    return Service(
        name="tracker",
        proto_names=("throughline.v1.Tracker",),
        add_to_server=partial(add_TrackerServicer_to_server, servicer),
        close=client.close,
        collectors=(Batches(client),),
    )


if __name__ == "__main__":
    run(build, name="tracker")
