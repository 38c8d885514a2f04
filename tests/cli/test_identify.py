"""From videos to identities by the commands that people use, over three small videos of painted people."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import sync_playwright
from typer.testing import CliRunner, Result

from tests.perception.triton.conftest import tiny_repository, tiny_triton  # noqa: F401 - fixtures
from tests.tracker.footage import RATE, SIZE, Painted
from throughline.cli.main import app
from throughline.media.encode import Encoder, EncoderSettings
from throughline.media.film import played
from throughline.perception.triton.server import TritonServer

GREEN, GREY = {"upper": (0, 80, 0), "lower": (0, 0, 60)}, {"upper": (70, 70, 70), "lower": (90, 0, 0)}
VIDEOS = {
    "cam1": (Painted(0.0, 1.8, column=1, **GREEN), Painted(0.0, 1.8, column=4, **GREY)),  # type: ignore[arg-type]
    "cam2": (Painted(0.2, 1.8, column=2, **GREEN),),  # type: ignore[arg-type]
    "cam3": (Painted(0.2, 1.8, column=2, **GREY),),  # type: ignore[arg-type]
}
STARTS = {"cam1": "2026-03-01T10:00:00Z", "cam2": "2026-03-01T10:00:05Z", "cam3": "2026-03-01T10:00:09Z"}
CONFIG = "associate: {min_sim: 0.9, scale: cosine}\nembed: {frame_stride: 2}\n"


def film(path: Path, people: tuple[Painted, ...], seconds: float = 2.0) -> Path:
    with Encoder(path, SIZE, EncoderSettings(crf=12, threads=1)) as encoder:
        for frame in range(round(seconds * RATE)):
            picture = np.full((SIZE.height, SIZE.width, 3), 12, np.uint8)
            for person in people:
                person.paint(picture, frame / RATE)
            encoder.write(picture, frame * 10**9 // RATE)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory, tiny_triton: TritonServer) -> Path:  # noqa: F811
    """A root of three videos that were analysed, and not identified."""
    root = tmp_path_factory.mktemp("analysed")
    for name, people in VIDEOS.items():
        video = film(root / f"{name}.mp4", people)
        result = run(
            "analyze", video, "--out", root / name, "--start", STARTS[name], "--triton", tiny_triton.grpc_address
        )
        assert result.exit_code == 0, result.output
    (root / "reid.yaml").write_text(CONFIG)
    return root


@pytest.fixture
def root(analysed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(analysed, tmp_path / "root"))


@pytest.fixture
def identify(tiny_triton: TritonServer) -> Callable[..., Result]:  # noqa: F811
    return lambda root, *more: run("identify", root, "--triton", tiny_triton.grpc_address, *more)


@pytest.fixture
def rows() -> Callable[[Path], dict[tuple[str, str], int]]:
    def read(root: Path) -> dict[tuple[str, str], int]:
        with (root / "global_id_map.csv").open() as file:
            return {(line["video"], line["track_id"]): int(line["global_id"]) for line in csv.DictReader(file)}

    return read


Rows = Callable[[Path], dict[tuple[str, str], int]]
Identify = Callable[..., Result]


def test_analysis_gives_a_film_a_table_and_a_summary(analysed: Path) -> None:
    with (analysed / "cam1" / "tracks.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {line["track_id"] for line in lines} == {"1", "2"}
    assert min(int(line["time_ns"]) for line in lines) == 1772359200 * 10**9
    assert max(int(line["frame"]) for line in lines) < 2 * RATE
    summary = json.loads((analysed / "cam1" / "summary.json").read_bytes())
    assert (summary["camera"], summary["tracks"], summary["start"]) == ("cam1", 2, "2026-03-01T10:00:00.000Z")
    assert played(analysed / "cam1" / "analysis.mp4").frames == 2 * RATE


def test_everybody_gets_one_identity_and_everything_is_written(root: Path, identify: Identify, rows: Rows) -> None:
    result = identify(root)
    assert result.exit_code == 0, result.output
    assert "2 identities of 4 tracks in 3 videos, 0 described before" in result.output
    assert "neighbours by flat: recall 1.0000" in result.output
    ids = rows(root)
    green, grey = ids["cam2", "1"], ids["cam3", "1"]
    assert green != grey
    assert sorted([ids["cam1", "1"], ids["cam1", "2"]]) == sorted([green, grey])
    merged = json.loads((root / "merged_analytics.json").read_bytes())
    assert (merged["num_globals"], merged["num_tracks"], merged["unique_by_class"]) == (2, 4, {"person": 2})
    with (root / "flows.csv").open() as file:
        flows = {(line["from"], line["to"]): line for line in csv.DictReader(file)}
    assert {way: line["count"] for way, line in flows.items()} == {("cam1", "cam2"): "1", ("cam1", "cam3"): "1"}
    assert float(flows["cam1", "cam2"]["median_transit_seconds"]) == pytest.approx(3.4, abs=0.5)
    sankey = json.loads((root / "flows.json").read_bytes())
    assert [sankey["nodes"][link["target"]]["name"] for link in sankey["links"]] == ["cam2", "cam3"]
    for identity in (green, grey):
        assert len(list((root / "galleries" / f"global_{identity:06d}").glob("*.jpg"))) == 4
    with (root / "cam2" / "tracks_global.csv").open() as file:
        assert {line["global_id"] for line in csv.DictReader(file)} == {str(green)}
    assert json.loads((root / "cam2" / "summary_global.json").read_bytes())["globals_also_elsewhere"] == [green]
    with np.load(root / "embeddings" / "cam1_track_embeds.npz") as arrays:
        assert arrays["embeds"].shape == (2, 6)
    assert (root / "embeddings" / "cam1_track_meta.csv").read_text().count("\n") == 3
    page = (root / "report.html").read_text()
    assert page.count("<img") == 8
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_second_run_describes_nothing_and_changes_nothing(root: Path, identify: Identify, rows: Rows) -> None:
    identify(root)
    before, history = rows(root), (root / "identity_history.json").read_bytes()
    result = identify(root)
    assert "3 described before" in result.output
    assert rows(root) == before
    assert (root / "identity_history.json").read_bytes() == history


def test_a_video_that_is_added_leaves_the_others_as_they_are(root: Path, identify: Identify, rows: Rows) -> None:
    shutil.move(root / "cam1", root.parent / "cam1")
    identify(root)
    before = rows(root)
    shutil.move(root.parent / "cam1", root / "cam1")
    stamps = {path: path.stat().st_mtime_ns for path in (root / "embeddings").glob("*.npz")}
    result = identify(root)
    assert "2 described before" in result.output
    after = rows(root)
    assert {key: after[key] for key in before} == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    history = json.loads((root / "identity_history.json").read_bytes())
    assert [each["added_videos"] for each in history["runs"]] == [["cam2", "cam3"], ["cam1"]]


def test_a_looser_threshold_merges_and_says_so(root: Path, identify: Identify) -> None:
    identify(root)
    (root / "reid.yaml").write_text(CONFIG.replace("0.9", "0.2"))
    shutil.rmtree(root / "cam1")  # where both are in view at once, and so stay two
    result = identify(root)
    assert "#1 now has #2" in result.output or "#2 now has #1" in result.output
    assert json.loads((root / "identity_history.json").read_bytes())["runs"][-1]["merges"]
    (root / "reid.yaml").write_text(CONFIG)
    assert "is now #" in identify(root).output


def test_a_topology_keeps_apart_who_would_be_too_fast(root: Path, identify: Identify, rows: Rows) -> None:
    (root / "site.yaml").write_text(
        "transits:\n  - {from: cam1, to: cam2, least: 60}\n  - {from: cam1, to: cam9, least: 1}\n"
    )
    (root / "reid.yaml").write_text(CONFIG.replace("associate: {", "associate: {topology: site.yaml, "))
    result = identify(root)
    assert result.exit_code == 0, result.output
    assert "the topology names camera 'cam9', and no video is of it" in result.stderr
    assert len(set(rows(root).values())) == 3
    (root / "site.yaml").write_text("transits:\n  - {from: Cam1, to: Cam2, least: 60}\n")
    result = identify(root)
    assert result.exit_code == 1
    assert "did you mean 'cam1'?" in result.stderr


def test_checks_fail_in_plain_words_where_files_were_changed(root: Path, identify: Identify) -> None:
    identify(root)
    path = root / "global_id_map.csv"
    good = path.read_text()
    assert run("identify", root, "--check").exit_code == 0
    path.write_text("".join(line.replace("cam1,2,2", "cam1,2,1") for line in good.splitlines(keepends=True)))
    result = run("identify", root, "--check")
    assert result.exit_code == 1
    assert "failed no identity is there twice in a video at one time" in result.output
    assert "#1: cam1 1 and cam1 2" in result.output
    path.write_text("".join(good.splitlines(keepends=True)[:-1]))
    result = run("identify", root, "--check")
    assert result.exit_code == 1
    assert "without one: cam3 1" in result.output
    path.unlink()
    assert "run `throughline identify" in run("identify", root, "--check").stderr


def break_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def put_nan(path: Path) -> None:
    with np.load(path) as arrays:
        content = dict(arrays)
    content["samples"][0, 0] = np.nan
    np.savez(path, **content)


@pytest.mark.parametrize(("harm", "said"), [(break_off, "cannot be read"), (put_nan, "not of length 1")])
def test_descriptors_that_cannot_be_used_are_made_anew(
    root: Path, identify: Identify, harm: Callable[[Path], None], said: str
) -> None:
    identify(root)
    harm(root / "embeddings" / "cam2_track_embeds.npz")
    result = identify(root)
    assert result.exit_code == 0, result.output
    assert said in result.stderr
    assert "2 described before" in result.output


def test_tracks_of_other_tools_are_identified_too(root: Path, identify: Identify) -> None:
    """MOT's columns, no summary, no times: the video says when its frames are shown."""
    with (root / "cam2" / "tracks.csv").open() as file:
        lines = list(csv.DictReader(file))
    foreign = root / "foreign"
    foreign.mkdir()
    shutil.copy(root / "cam2.mp4", foreign / "analysis.mp4")
    boxes = (
        (int(line["frame"]) + 1, *(float(line[edge]) for edge in ("left", "top", "right", "bottom"))) for line in lines
    )
    (foreign / "tracks.csv").write_text(
        "".join(
            f"{frame},9,{left},{top},{right - left},{bottom - top},0.9,-1\n"
            for frame, left, top, right, bottom in boxes
        )
    )
    one_box = root / "one_box"
    one_box.mkdir()
    shutil.copy(root / "cam2.mp4", one_box / "analysis.mp4")
    (one_box / "tracks.csv").write_text("frame,track_id,x1,y1,x2,y2\n11,4,1,1,9,9\n")
    empty = root / "empty"
    empty.mkdir()
    (empty / "tracks.csv").write_text("")
    result = identify(root)
    assert result.exit_code == 0, result.output
    assert "3 identities of 6 tracks in 6 videos" in result.output
    assert "empty: no tracks are in its tracks.csv" in result.stderr


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("cam1/tracks.csv", "frame,id\n1,2\n", "cam1/tracks.csv, line 1: no column for left,top,right,bottom"),
        ("cam1/tracks.csv", "900,1,1,1,30,30\n", "is it of another video?"),
        ("cam1/tracks.csv", "1,1,100,100,200,200\n2,1,100,100,220,220", "are left,top,right,bottom, name them"),
        ("cam1/summary.json", "{}", "has neither its source nor analysis.mp4"),
        ("cam1/summary.json", '{"box_format": "ltrb"}', "expected xywh or xyxy"),
        ("cam1/summary.json", "{", "summary.json is no JSON"),
        ("cam1/summary.json", '{"fps": "fast"}', "is not a number of frames per second"),
        ("cam1/summary.json", '{"start": "yesterday"}', "summary.json: start"),
        ("cam1/analysis.mp4", "no video", "cannot be used"),
        ("reid.yaml", "backbone: other", "other"),
        ("reid.yaml", "backbone: {name: reid, image_size: 224}", "takes pictures of 32x64, not the 224x224"),
        ("reid.yaml", "backbone: detector", "is a detector"),
        ("reid.yaml", "asociate: {}", "did you mean associate?"),
        ("reid.yaml", "associate: {scale: calibrated}", "has no calibration"),
        ("identity_history.json", "[]", "number everybody anew"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    root: Path, identify: Identify, path: str, content: str, said: str
) -> None:
    if path in ("cam1/tracks.csv", "cam1/analysis.mp4"):
        (root / "cam1" / "summary.json").unlink()
    (root / path).write_text(content)
    if content == "{}":
        (root / "cam1" / "analysis.mp4").unlink()
    result = identify(root, "--strict")
    assert result.exit_code == 1, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert not (root / "global_id_map.csv").exists()


def test_a_video_that_cannot_be_used_is_left_out_and_told(root: Path, identify: Identify, rows: Rows) -> None:
    (root / "cam2" / "tracks.csv").write_text("frame,id\n1,2\n")
    for result in (identify(root), run("identify", root, "--check")):
        assert result.exit_code == 2, result.output
        assert f"left out cam2: {root / 'cam2' / 'tracks.csv'}, line 1: no column for left,top,right" in result.output
        assert "videos left out: 1; put that right, and run `throughline identify` again" in result.output
    assert {name for name, _ in rows(root)} == {"cam1", "cam3"}
    (root / "cam1" / "tracks.csv").write_text("no,table\n")
    result = run("identify", root, "--check")
    assert result.exit_code == 1
    assert "failed every video can be read: cam1: " in result.output


def test_an_empty_root_says_what_to_do(tmp_path: Path, identify: Identify) -> None:
    assert "throughline analyze VIDEO" in identify(tmp_path).stderr
    assert "is no folder" in identify(tmp_path / "none").stderr


def test_what_is_no_video_is_not_analysed(tmp_path: Path, tiny_triton: TritonServer) -> None:  # noqa: F811
    (tmp_path / "text.mp4").write_text("no video")
    result = run("analyze", tmp_path / "text.mp4", "--out", tmp_path / "out", "--triton", tiny_triton.grpc_address)
    assert result.exit_code == 1
    assert "gives no video" in result.stderr
    assert "is no file" in run("analyze", tmp_path / "none.mp4").stderr
    assert "is a file, and the outputs need a folder" in run("analyze", tmp_path / "text.mp4", "--out", __file__).stderr
    assert "--start" in run("analyze", tmp_path / "text.mp4", "--start", "soon", "--triton", "x:1").stderr


@pytest.mark.parametrize("how", ["itself", "hardlink_to", "symlink_to"])
def test_outputs_never_replace_the_video_itself(tmp_path: Path, how: str) -> None:
    video, place = tmp_path / "video.mp4", tmp_path / "out" / "analysis.mp4"
    video.write_text("a video")
    place.parent.mkdir()
    if how == "itself":
        video = video.rename(place)
    else:
        getattr(place, how)(video)
    result = run("analyze", video, "--out", place.parent, "--triton", "localhost:1")
    assert result.exit_code == 1
    assert "analysis.mp4 is the video itself and would be replaced; give another folder as --out" in result.stderr
    assert video.read_text() == "a video"


def test_a_link_to_a_video_without_a_suffix_is_followed(
    analysed: Path,
    tmp_path: Path,
    tiny_triton: TritonServer,  # noqa: F811
) -> None:
    video = Path(shutil.copy(analysed / "cam2.mp4", tmp_path / "recording"))
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "today"
    link.symlink_to(video)
    result = run("analyze", link, "--out", tmp_path / "out", "--triton", tiny_triton.grpc_address)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out" / "summary.json").read_bytes())["source"] == str(video)
    result = run("analyze", video, "--out", video, "--triton", tiny_triton.grpc_address)
    assert "is a file, and the outputs need a folder; give one as --out" in result.stderr


def test_a_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    video = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    video.write_text("a video")
    result = run("analyze", video, "--out", tmp_path / "out", "--triton", "localhost:1")
    assert result.exit_code == 1
    assert "caf\\udce9.mp4 is no text in UTF-8; rename it" in result.stderr


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)


@pytest.mark.parametrize("moment", ["embeddings/*.npz", ".identities.*.partial/*", ".identities.complete"])
def test_a_kill_leaves_the_former_outputs_or_the_new_ones(
    root: Path,
    identify: Identify,
    rows: Rows,
    tiny_triton: TritonServer,  # noqa: F811
    moment: str,
) -> None:
    identify(root)
    before = rows(root)
    (root / "reid.yaml").write_text(CONFIG.replace("0.9", "0.999999").replace("2}", "3}"))
    shutil.rmtree(root / "embeddings")
    command = [sys.executable, "-m", "throughline", "identify", str(root), "--triton", tiny_triton.grpc_address]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: any(root.glob(moment)), process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    if moment != ".identities.complete":
        assert rows(root) == before
        assert run("identify", root, "--check").exit_code == 0
    result = identify(root)
    assert result.exit_code == 0, result.output
    assert not [path.name for path in root.iterdir() if path.name.startswith(".identities")]


@pytest.fixture(scope="module")
def browser_page() -> Iterator[object]:
    if shutil.which("chromium") is None:
        pytest.skip("needs Debian's chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser.new_page(viewport={"width": 1200, "height": 900})
        browser.close()


def test_the_report_opens_in_a_browser_and_asks_for_nothing_else(
    root: Path, identify: Identify, browser_page: object
) -> None:
    page = browser_page
    shutil.move(root / "cam3", root / "cam <b>3&")
    identify(root)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))  # type: ignore[attr-defined]
    page.goto((root / "report.html").as_uri())  # type: ignore[attr-defined]
    loaded = page.evaluate(  # type: ignore[attr-defined]
        """() => ({
            pictures: [...document.images].filter(image => image.complete && image.naturalWidth > 0).length,
            bands: document.querySelectorAll('svg path').length,
            bold: document.querySelectorAll('td b').length,
            wide: document.documentElement.scrollWidth > innerWidth,
            text: document.body.innerText,
        })"""
    )
    assert (loaded["pictures"], loaded["bands"], loaded["bold"], loaded["wide"]) == (8, 2, 0, False)
    assert "cam <b>3&" in loaded["text"]
    assert [url for url in asked if not url.startswith("data:")] == [(root / "report.html").as_uri()]
