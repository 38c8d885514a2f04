from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from throughline.domain.errors import (
    Conflict,
    DependencyUnavailable,
    InvalidInput,
    NotFound,
    PermissionDenied,
    SourceChanged,
)
from throughline.storage import s3_transfer
from throughline.storage.objects import ObjectSettings, ObjectStore, open_objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def objects(s3_url: str) -> ObjectStore:
    return open_objects(ObjectSettings(s3_endpoint_url=s3_url))


def test_a_bucket_that_is_not_there_is_named_in_every_way_of_use(objects: ObjectStore, tmp_path: Path) -> None:
    uri = "s3://no-such-bucket/cam/a.mp4"
    uses: list[Callable[[], object]] = [
        lambda: list(objects.list(uri)),
        lambda: objects.folders(uri),
        lambda: objects.head(uri),
        lambda: objects.read(uri),
        lambda: objects.fetch(uri, tmp_path / "x"),
        lambda: objects.write(uri, b""),
    ]
    for use in uses:
        with pytest.raises(NotFound, match="no bucket 'no-such-bucket'"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_bucket_can_have_is_refused(objects: ObjectStore) -> None:
    with pytest.raises(InvalidInput):
        objects.read("s3://No Bucket/x")


def test_markers_of_folders_are_no_objects(objects: ObjectStore, s3_client: S3Client, bucket: str) -> None:
    s3_client.put_object(Bucket=bucket, Key="shop/cam1/", Body=b"")
    s3_client.put_object(Bucket=bucket, Key="shop/cam2/a.mp4", Body=b"a")
    assert [info.uri for info in objects.list(f"s3://{bucket}/shop")] == [f"s3://{bucket}/shop/cam2/a.mp4"]
    assert objects.folders(f"s3://{bucket}/shop") == ("cam1", "cam2")


def test_keys_with_dots_are_names_like_any_other(objects: ObjectStore, s3_client: S3Client, bucket: str) -> None:
    s3_client.put_object(Bucket=bucket, Key="shop/cam/../../etc/passwd", Body=b"x")
    uri = f"s3://{bucket}/shop/cam/../../etc/passwd"
    assert [info.uri for info in objects.list(f"s3://{bucket}/shop")] == [uri]
    assert objects.read(uri) == b"x"


def test_more_objects_than_one_page_holds_are_all_listed(
    objects: ObjectStore, s3_client: S3Client, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "4")
    for number in range(10):
        s3_client.put_object(Bucket=bucket, Key=f"p/{number:05d}", Body=b"")
    assert len(list(objects.list(f"s3://{bucket}/p/"))) == 10
    assert s3_client.list_objects_v2(Bucket=bucket)["IsTruncated"]


def test_what_the_uploader_said_of_an_object_comes_with_head_and_fetch(
    objects: ObjectStore, s3_client: S3Client, bucket: str, tmp_path: Path
) -> None:
    s3_client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    uri = f"s3://{bucket}/a"
    objects.write(uri, b"x", metadata={"Start-Time": "2026-03-01T10:00:00Z"})
    info = objects.head(uri)
    assert (info.metadata, bool(info.version_id)) == ({"start-time": "2026-03-01T10:00:00Z"}, True)
    assert objects.fetch(uri, tmp_path / "a") == info


def test_a_large_file_is_uploaded_in_parts_and_never_over_another(
    objects: ObjectStore, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_client: S3Client
) -> None:
    monkeypatch.setattr(s3_transfer, "PART_BYTES", 5 * 2**20)
    uri, large = f"s3://{bucket}/large", tmp_path / "large"
    large.write_bytes(os.urandom(12 * 2**20))
    objects.write(uri, large, replace=False, metadata={"k": "v"})
    assert objects.head(uri).metadata == {"k": "v"}
    objects.fetch(uri, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == large.read_bytes()
    with pytest.raises(Conflict):
        objects.write(uri, large, replace=False)
    assert "Uploads" not in s3_client.list_multipart_uploads(Bucket=bucket)
    s3_client.delete_object(Bucket=bucket, Key="large")


def test_a_closed_port_is_an_unavailable_dependency(bucket: str) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        objects = open_objects(
            ObjectSettings(s3_endpoint_url=f"http://127.0.0.1:{held.getsockname()[1]}", s3_patience_seconds=1)
        )
        with pytest.raises(DependencyUnavailable, match="THROUGHLINE_S3_ENDPOINT_URL"):
            objects.head(f"s3://{bucket}/x")


def test_missing_credentials_are_answered_with_how_to_give_them(
    s3_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(PermissionDenied, match="AWS_ACCESS_KEY_ID"):
        open_objects(ObjectSettings(s3_endpoint_url=s3_url)).head("s3://bucket/x")


class CuttingProxy:
    """Passes connections on to a server and cuts each after so many bytes of its answers."""

    def __init__(self, url: str, cut_after_bytes: int) -> None:
        self._upstream = (urlsplit(url).hostname, urlsplit(url).port)
        self._cut = cut_after_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0
        self.on_cut: Callable[[], None] = lambda: None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._upstream) as server:
            threading.Thread(target=self._pass_requests, args=(client, server), daemon=True).start()
            passed = 0
            while block := server.recv(min(65_536, self._cut - passed)):
                client.sendall(block)
                passed += len(block)
                if passed >= self._cut:
                    self.cuts += 1
                    self.on_cut()
                    client.shutdown(socket.SHUT_RDWR)
                    return

    def _pass_requests(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while block := client.recv(65_536):
                server.sendall(block)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def proxy(s3_url: str) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(s3_url, cut_after_bytes=700_000)
    yield proxy
    proxy.close()


def test_a_download_goes_on_where_its_connection_broke(
    proxy: CuttingProxy, s3_client: S3Client, bucket: str, tmp_path: Path
) -> None:
    content = os.urandom(3_000_000)
    s3_client.put_object(Bucket=bucket, Key="a", Body=content)
    objects = open_objects(ObjectSettings(s3_endpoint_url=proxy.url))
    objects.fetch(f"s3://{bucket}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == content
    assert proxy.cuts == 4


def test_an_object_that_changes_between_two_connections_is_not_mixed(
    proxy: CuttingProxy, s3_client: S3Client, bucket: str, tmp_path: Path
) -> None:
    s3_client.put_object(Bucket=bucket, Key="a", Body=os.urandom(3_000_000))
    proxy.on_cut = lambda: s3_client.put_object(Bucket=bucket, Key="a", Body=os.urandom(3_000_000)) and None
    objects = open_objects(ObjectSettings(s3_endpoint_url=proxy.url))
    with pytest.raises(SourceChanged):
        objects.fetch(f"s3://{bucket}/a", tmp_path / "out" / "a")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_server_that_never_gets_a_byte_across_is_given_up(
    s3_url: str, s3_client: S3Client, bucket: str, tmp_path: Path
) -> None:
    s3_client.put_object(Bucket=bucket, Key="a", Body=os.urandom(100_000))
    proxy = CuttingProxy(s3_url, cut_after_bytes=50)
    objects = open_objects(ObjectSettings(s3_endpoint_url=proxy.url, s3_patience_seconds=1))
    with pytest.raises(DependencyUnavailable):
        objects.fetch(f"s3://{bucket}/a", tmp_path / "out" / "a")
    proxy.close()
    assert list((tmp_path / "out").iterdir()) == []
