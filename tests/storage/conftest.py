"""Each storage test runs on the local disk and on S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.places import Place, Workshop
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.workspace import Workspace


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "file":
        root = tmp_path / "a root"
        root.mkdir()
        return Place(open_objects(ObjectSettings(allowed_roots=(root,))), file_uri(root / "folder"))
    settings = ObjectSettings(s3_endpoint_url=request.getfixturevalue("s3_url"))
    return Place(open_objects(settings), f"s3://{request.getfixturevalue('bucket')}/a folder")


@pytest.fixture
def workshop(place: Place, tmp_path: Path, request: pytest.FixtureRequest) -> Workshop:
    cache = tmp_path / "cache"
    endpoint = request.getfixturevalue("s3_url") if place.is_s3 else ""
    arguments = (place.uri, str(cache), str(tmp_path), endpoint)
    return Workshop(Workspace(place.uri, place.objects, cache), place, arguments)
