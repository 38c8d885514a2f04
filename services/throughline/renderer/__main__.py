"""Serves the renderer: `python -m throughline.renderer`."""

from __future__ import annotations

from throughline.domain.errors import InvalidInput
from throughline.renderer.servicer import RendererServicer
from throughline.renderer.settings import RendererSettings
from throughline.storage.objects import open_objects
from throughline.storage.workspace import Workspace
from throughline.v1 import renderer_pb2, renderer_pb2_grpc
from throughline.wire.service import Service, run


def build(settings: RendererSettings | None = None) -> Service:
    """The renderer, ready to be served; raise InvalidInput where no workspace is set."""
    settings = settings or RendererSettings()
    if not settings.workspace_uri:
        raise InvalidInput(
            "the renderer needs a workspace; set THROUGHLINE_WORKSPACE_URI to file:///folder/ or s3://bucket/prefix/"
        )
    workspace = Workspace(settings.workspace_uri, open_objects(settings), settings.cache_dir)
    servicer = RendererServicer(workspace, settings)
    return Service(
        name="renderer",
        proto_names=(renderer_pb2.DESCRIPTOR.services_by_name["Renderer"].full_name,),
        add_to_server=lambda server: renderer_pb2_grpc.add_RendererServicer_to_server(servicer, server),
    )


if __name__ == "__main__":
    run(build, name="renderer")
