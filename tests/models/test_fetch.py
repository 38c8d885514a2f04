from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conditions import eventually
from throughline.domain.errors import CorruptArtifact, DependencyUnavailable, InvalidInput, NotFound, StorageFull
from throughline.models.catalogue import ENTRIES, Entry, entry
from throughline.models.fetch import fetch, read_record, record_path

CONTENT = np.random.default_rng(1).integers(0, 256, 300_000, dtype=np.uint8).tobytes()


@dataclass
class Origin:
    """A file server that can change its file, break off, and answer with something else."""

    content: bytes = CONTENT
    break_after: int | None = None
    stall: threading.Event | None = None
    page: bool = False
    status: int = 200
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    @property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'


@pytest.fixture
def origin() -> Iterator[Origin]:
    state = Origin()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append((self.path, self.headers.get("Range")))
            if state.status != 200:
                self.send_error(state.status)
                return
            start = 0
            if (wanted := self.headers.get("Range")) and self.headers.get("If-Range") == state.tag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", "text/html" if state.page else "application/octet-stream")
            self.send_header("Content-Length", str(len(state.content) - start))
            self.send_header("ETag", state.tag)
            self.end_headers()
            end, state.break_after = state.break_after, None
            self.wfile.write(state.content[start:end])
            if state.stall is not None:
                state.stall.wait(60)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        yield state
        server.shutdown()
        thread.join()


def _entry(origin: Origin, sha256: str = "") -> Entry:
    return Entry("tiny", "detector", "tiny.onnx", f"{origin.url}/tiny.onnx", "MIT", sha256)


def test_a_file_is_fetched_with_its_record(origin: Origin, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(_entry(origin), tmp_path / "weights", on_progress=lambda *each: seen.append(each))
    assert path.read_bytes() == CONTENT
    record = read_record(path)
    assert record is not None
    assert (record.sha256, record.licence, record.pinned) == (hashlib.sha256(CONTENT).hexdigest(), "MIT", False)
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert sorted(each.name for each in path.parent.iterdir()) == ["tiny.onnx", "tiny.onnx.source.json"]


def test_a_broken_connection_is_taken_up_where_it_broke(origin: Origin, tmp_path: Path) -> None:
    origin.break_after = 200_000
    assert fetch(_entry(origin), tmp_path).read_bytes() == CONTENT
    first, second = origin.asked
    assert first[1] is None
    assert second[1] is not None
    assert int(second[1].removeprefix("bytes=").removesuffix("-")) > 0


def test_what_a_killed_process_left_is_used_and_what_changed_since_is_not(origin: Origin, tmp_path: Path) -> None:
    for change in (False, True):
        folder = tmp_path / str(change)
        folder.mkdir()
        (folder / ".tiny.onnx.part").write_bytes(CONTENT[:1000])
        validator = {"url": f"{origin.url}/tiny.onnx", "validator": origin.tag}
        (folder / ".tiny.onnx.validator").write_text(json.dumps(validator))
        if change:
            origin.content = CONTENT[::-1]
        assert fetch(_entry(origin), folder).read_bytes() == origin.content
        assert origin.asked[-1][1] == "bytes=1000-"


def test_a_process_killed_in_the_middle_is_gone_on_from(origin: Origin, tmp_path: Path) -> None:
    origin.break_after, origin.stall = 200_000, threading.Event()
    add = (
        "import sys; from pathlib import Path; from throughline.models.catalogue import Entry; "
        "from throughline.models.fetch import fetch; "
        "fetch(Entry('tiny', 'detector', 'tiny.onnx', sys.argv[1], 'MIT'), Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", add, f"{origin.url}/tiny.onnx", str(tmp_path)])
    part = tmp_path / ".tiny.onnx.part"
    eventually(lambda: part.is_file() and part.stat().st_size > 100_000, 60)
    process.kill()
    process.wait()
    origin.stall.set()
    assert fetch(_entry(origin), tmp_path).read_bytes() == CONTENT
    assert [start is None for _, start in origin.asked] == [True, False]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["tiny.onnx", "tiny.onnx.source.json"]


def test_a_full_disk_is_named_and_gone_on_from_once_there_is_room(origin: Origin, tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("small disks can't be mounted here: it takes the right to mount a tmpfs")
    try:
        with pytest.raises(
            StorageFull, match=r"is full; make room and call again: what has come of tiny\.onnx is kept"
        ):
            fetch(_entry(origin), tmp_path)
        assert not (tmp_path / "tiny.onnx").exists()
        subprocess.run(["mount", "-o", "remount,size=4m", str(tmp_path)], check=True)
        assert fetch(_entry(origin), tmp_path).read_bytes() == CONTENT
        assert origin.asked[-1][1] not in (None, "bytes=0-")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_another_file_than_the_known_one_is_refused(origin: Origin, tmp_path: Path) -> None:
    with pytest.raises(CorruptArtifact, match="another file than the one that is known"):
        fetch(_entry(origin, "0" * 64), tmp_path)
    assert not (tmp_path / "tiny.onnx").exists()
    assert not (tmp_path / ".tiny.onnx.part").exists()


def test_another_file_than_the_first_is_refused_until_its_record_goes(origin: Origin, tmp_path: Path) -> None:
    path = fetch(_entry(origin), tmp_path)
    path.unlink()
    origin.content = b"something else"
    with pytest.raises(CorruptArtifact, match=r"than when it was first fetched; .* remove .*source\.json"):
        fetch(_entry(origin), tmp_path)
    record_path(path).unlink()
    assert fetch(_entry(origin), tmp_path).read_bytes() == b"something else"


def test_a_file_that_is_there_is_checked_and_not_fetched_again(origin: Origin, tmp_path: Path) -> None:
    path = fetch(_entry(origin), tmp_path)
    fetch(_entry(origin), tmp_path)
    assert len(origin.asked) == 1
    path.write_bytes(b"damaged")
    with pytest.raises(CorruptArtifact, match="remove it to fetch it again"):
        fetch(_entry(origin), tmp_path)


def test_a_mirror_stands_in_for_the_internet(origin: Origin, tmp_path: Path) -> None:
    known = Entry("tiny", "detector", "tiny.onnx", "https://nowhere.invalid/tiny.onnx", "MIT")
    assert fetch(known, tmp_path, f"{origin.url}/models/").read_bytes() == CONTENT
    assert origin.asked[0][0] == "/models/tiny.onnx"


def test_a_proxy_of_the_environment_is_used(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", origin.url)
    monkeypatch.setenv("NO_PROXY", "")
    fetch(Entry("tiny", "detector", "tiny.onnx", "http://weights.invalid/tiny.onnx", "MIT"), tmp_path)
    assert origin.asked[0][0] == "http://weights.invalid/tiny.onnx"


def test_failures_say_what_to_do(origin: Origin, tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailable, match=r"see to the network, name a proxy in HTTPS_PROXY"):
        fetch(Entry("tiny", "detector", "tiny.onnx", "http://127.0.0.1:9/tiny.onnx", "MIT"), tmp_path)
    origin.status = 404
    with pytest.raises(NotFound, match=r"answers 404 Not Found; fetch tiny\.onnx elsewhere and give --base-url"):
        fetch(_entry(origin), tmp_path)
    origin.status = 200
    origin.page = True
    with pytest.raises(DependencyUnavailable, match="gives a web page instead"):
        fetch(_entry(origin), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="cannot be written"):
        fetch(_entry(origin), tmp_path / "file")
    with pytest.raises(NotFound, match="there are yolox-nano"):
        entry("yolo-unknown")


def test_the_catalogue_holds_each_name_and_file_once_under_a_permissive_licence() -> None:
    assert len({each.name for each in ENTRIES}) == len({each.file for each in ENTRIES}) == len(ENTRIES)
    assert {each.licence for each in ENTRIES} == {"Apache-2.0", "MIT"}
    assert all(each.url.startswith("https://") and len(each.sha256) in (0, 64) for each in ENTRIES)
