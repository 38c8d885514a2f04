from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.places import Place
from throughline.domain.errors import Cancelled, Conflict, InvalidInput, LimitExceeded, NotFound, SourceChanged
from throughline.storage.object_store import BLOCK_BYTES
from throughline.storage.objects import ObjectSettings, Pin, open_objects

ODD_NAMES = [
    "cam 1-x/b",
    "cam 1.txt",
    "cam 1/a.mp4",
    "cam 1/deep/er/..mp4",
    "ü/é 日本.mp4",
    "%20/+&?#=.mp4",
    "a..b/c",
    "empty",
]


def _filled(place: Place, names: list[str]) -> None:
    for name in names:
        place.objects.write(f"{place.uri}/{name}", b"" if name == "empty" else name.encode())


def test_everything_below_a_folder_is_listed_in_order_whatever_its_name(place: Place) -> None:
    _filled(place, ODD_NAMES)
    found = [info.uri for info in place.objects.list(place.uri)]
    assert found == sorted(f"{place.uri}/{name}" for name in ODD_NAMES)
    assert [place.objects.read(uri) for uri in found if not uri.endswith("/empty")]


def test_a_slash_at_the_end_of_a_prefix_changes_nothing(place: Place) -> None:
    _filled(place, ["x/a"])
    assert list(place.objects.list(place.uri)) == list(place.objects.list(place.uri + "/"))


def test_a_listing_says_what_head_says(place: Place) -> None:
    _filled(place, ["a", "empty"])
    for info in place.objects.list(place.uri):
        assert place.objects.head(info.uri) == info
        assert info.size_bytes == len(place.objects.read(info.uri))


def test_a_folder_whose_name_only_begins_alike_is_not_listed(place: Place) -> None:
    _filled(place, ["cam1/a", "cam10/b"])
    assert [info.uri for info in place.objects.list(f"{place.uri}/cam1")] == [f"{place.uri}/cam1/a"]


def test_a_prefix_without_objects_lists_nothing(place: Place) -> None:
    assert list(place.objects.list(place.uri + "/nothing/here/")) == []
    assert place.objects.folders(place.uri + "/nothing/here/") == ()


def test_folders_are_named_in_order_without_what_lies_deeper(place: Place) -> None:
    _filled(place, ["cam 2/a", "cam 1/b/c", "loose.mp4", "ü/x"])
    assert place.objects.folders(place.uri) == ("cam 1", "cam 2", "ü")


def test_an_object_that_is_not_there_is_not_found(place: Place) -> None:
    missing = f"{place.uri}/missing.mp4"
    assert not place.objects.exists(missing)
    for use in (place.objects.head, place.objects.read):
        with pytest.raises(NotFound, match=r"missing\.mp4"):
            use(missing)


def test_a_small_object_is_read_and_a_larger_one_is_refused(place: Place) -> None:
    _filled(place, ["query.json"])
    uri = f"{place.uri}/query.json"
    assert place.objects.read(uri, max_bytes=10) == b"query.json"
    with pytest.raises(LimitExceeded, match="10 bytes"):
        place.objects.read(uri, max_bytes=9)


def test_a_part_of_an_object_is_read_as_far_as_it_goes(place: Place) -> None:
    _filled(place, ["query.json"])
    uri = f"{place.uri}/query.json"
    assert place.objects.read_part(uri, 2, 3) == b"ery"
    assert place.objects.read_part(uri, 6, 9) == b"json"
    with pytest.raises(NotFound, match=r"missing\.mp4"):
        place.objects.read_part(f"{place.uri}/missing.mp4", 0, 1)


def test_a_fetched_object_lies_whole_at_its_destination(place: Place, tmp_path: Path) -> None:
    _filled(place, ["cam/a b.mp4"])
    uri, destination = f"{place.uri}/cam/a b.mp4", tmp_path / "new folder" / "ü.mp4"
    info = place.objects.fetch(uri, destination)
    assert (info, destination.read_bytes()) == (place.objects.head(uri), b"cam/a b.mp4")
    assert list(destination.parent.iterdir()) == [destination]


def test_an_empty_object_is_fetched(place: Place, tmp_path: Path) -> None:
    _filled(place, ["empty"])
    place.objects.fetch(f"{place.uri}/empty", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b""


def test_an_object_that_changed_since_it_was_listed_is_not_fetched(place: Place, tmp_path: Path) -> None:
    uri, destination = f"{place.uri}/a", tmp_path / "out" / "a"
    place.objects.write(uri, b"before")
    pinned = place.objects.head(uri).etag
    assert place.objects.fetch(uri, destination, pin=Pin(pinned)).etag == pinned
    destination.unlink()
    place.objects.write(uri, b"after!")
    with pytest.raises(SourceChanged, match="submit the job again"):
        place.objects.fetch(uri, destination, pin=Pin(pinned))
    assert list(destination.parent.iterdir()) == []


def test_a_fetch_stops_between_blocks_leaving_nothing(place: Place, tmp_path: Path) -> None:
    uri, destination = f"{place.uri}/a", tmp_path / "out" / "a"
    place.objects.write(uri, bytes(3 * BLOCK_BYTES))
    blocks: list[int] = []

    def stop_at_second() -> None:
        blocks.append(1)
        if len(blocks) == 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        place.objects.fetch(uri, destination, check=stop_at_second)
    assert len(blocks) == 2
    assert list(destination.parent.iterdir()) == []


def test_an_object_that_must_not_be_replaced_stays(place: Place, tmp_path: Path) -> None:
    uri, source = f"{place.uri}/a", tmp_path / "source"
    source.write_bytes(b"second")
    place.objects.write(uri, b"first", replace=False)
    for data in (b"second", source):
        with pytest.raises(Conflict):
            place.objects.write(uri, data, replace=False)
    assert place.objects.read(uri) == b"first"
    place.objects.write(uri, source)
    assert place.objects.read(uri) == b"second"


@pytest.mark.parametrize("uri", ["", "plain/path", "/etc/passwd", "ftp://x/y", "s3://", "s3:///key", "file://relative"])
def test_what_is_no_uri_is_refused(uri: str, tmp_path: Path) -> None:
    objects = open_objects(ObjectSettings(allowed_roots=(tmp_path,)))
    with pytest.raises(InvalidInput):
        objects.read(uri)
