"""Runs over small videos of which some cannot be used, changed or went away: everything else is identified, and nothing is lost."""

from __future__ import annotations

import csv
import html
import json
import os
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.tracker.identities.conftest import CONFIG, Film, Identify
from throughline.domain.errors import InvalidInput
from throughline.tracker.identities.check import check_root
from throughline.tracker.identities.config import Associate, Backbone, Embed
from throughline.tracker.identities.publish import claimed

MONDAY, TUESDAY = "2026-03-02T10:00:00Z", "2026-03-03T10:00:00Z"


def ids(root: Path) -> dict[tuple[str, int], int]:
    with (root / "global_id_map.csv").open() as file:
        return {(line["video"], int(line["track_id"])): int(line["global_id"]) for line in csv.DictReader(file)}


def history(root: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((root / "identity_history.json").read_bytes())
    return content


def break_film(folder: Path) -> None:
    (folder / "analysis.mp4").write_text("no video")


def cut_film(folder: Path) -> None:
    path = folder / "analysis.mp4"
    path.write_bytes(path.read_bytes()[:700])


def empty_film(folder: Path) -> None:
    (folder / "analysis.mp4").write_bytes(b"")


def no_film(folder: Path) -> None:
    (folder / "analysis.mp4").unlink()


def break_table(folder: Path) -> None:
    (folder / "tracks.csv").write_text("frame,id\n1,2\n")


def far_boxes(folder: Path) -> None:
    (folder / "tracks.csv").write_text("frame,track_id,left,top,right,bottom\n0,1,9000,9000,9100,9100\n")


def negative_boxes(folder: Path) -> None:
    (folder / "tracks.csv").write_text("frame,track_id,left,top,right,bottom\n0,1,-200,9,-100,200\n")


def folder_for_table(folder: Path) -> None:
    (folder / "tracks.csv").unlink()
    (folder / "tracks.csv").mkdir()


def break_summary(folder: Path) -> None:
    (folder / "summary.json").write_text("{")


HARMS = [
    (break_film, "cannot be used"),
    (cut_film, "cannot be used"),
    (empty_film, "it has no bytes"),
    (no_film, "and there is no analysis.mp4; give one of them"),
    (break_table, "no column for left,top,right,bottom"),
    (far_boxes, "lie outside of its 256x256"),
    (negative_boxes, "lie outside of its 256x256"),
    (folder_for_table, "cannot be read"),
    (break_summary, "is no JSON"),
]


def test_videos_that_cannot_be_used_are_left_out_and_told(video: Film, identify_root: Identify) -> None:
    root = video("good", (1, 2)).parent
    for harm, _ in HARMS:
        harm(video(harm.__name__, (1, 2)))
    found = identify_root()
    assert ids(root) == {("good", 1): 1}
    merged = json.loads((root / "merged_analytics.json").read_bytes())
    assert merged["skipped"] == dict(found.skipped)
    page = html.unescape((root / "report.html").read_text())
    for harm, said in HARMS:
        assert said in found.skipped[harm.__name__]
        assert found.skipped[harm.__name__] in page
    checked = check_root(root, CONFIG)
    assert all(each.passed for each in checked.checks)
    assert (checked.status, checked.skipped) == (2, found.skipped)
    with pytest.raises(InvalidInput, match=r"^break_film: "):
        identify_root(strict=True)


def test_a_root_of_unusable_videos_is_refused(video: Film, identify_root: Identify) -> None:
    root = video("bad", (1, 2)).parent
    break_film(root / "bad")
    break_table(video("worse", (1, 2)))
    with pytest.raises(InvalidInput, match=r"none of the 2 videos below .* can be used; bad: .* cannot be used"):
        identify_root()
    assert not (root / "global_id_map.csv").exists()


def test_frames_that_do_not_decode_are_told_with_the_tracks_that_they_cost(
    video: Film, identify_root: Identify
) -> None:
    folder = video("torn", (1, 2), fps=15)
    table = folder / "tracks.csv"
    table.write_text(table.read_text() + "40,7,32,16,128,208\n")
    incidents = [each for _ in range(2) for each in identify_root().outcome.made.incidents]
    told = [each for each in incidents if each.code == "crops_missing"]
    assert [(each.subject, each.message) for each in told] == [
        (
            "torn",
            "frames to cut crops from that do not decode: 1, the first of them frame 40; "
            "tracks 7 have no crop by that, and stay alone",
        )
    ] * 2


def test_a_video_that_comes_back_has_the_numbers_it_had(video: Film, identify_root: Identify) -> None:
    root = video("cam1", (1, 2)).parent
    folder = video("cam2", (1, 5))
    identify_root()
    before, film = ids(root), (folder / "analysis.mp4").read_bytes()
    shutil.rmtree(root / "embeddings")
    break_film(folder)
    identify_root()
    assert ids(root) == {("cam1", 1): before["cam1", 1]}
    (folder / "analysis.mp4").write_bytes(film)
    identify_root()
    assert ids(root) == before


def test_a_number_whose_people_went_is_not_given_to_others(video: Film, identify_root: Identify) -> None:
    root = video("cam1", (1, 2)).parent
    video("cam2", (1, 5))
    identify_root()
    shutil.rmtree(root / "cam2")
    identify_root()
    video("cam3", (1, 5))
    identify_root()
    assert ids(root) == {("cam1", 1): 1, ("cam3", 1): 3}


@pytest.mark.parametrize(
    "change", [{"start": TUESDAY}, {"start": MONDAY, "camera": "door"}, {"start": MONDAY, "fps": 5}]
)
def test_whatever_identities_depend_on_is_a_run_of_its_own(
    video: Film, identify_root: Identify, change: dict[str, object]
) -> None:
    root = video("cam1", (1, 2), start=MONDAY, fps=15).parent
    identify_root()
    identify_root()
    assert len(history(root)["runs"]) == 1  # type: ignore[arg-type]
    (root / "cam1" / "summary.json").write_text(json.dumps({"fps": 15} | change))
    identify_root()
    assert len(history(root)["runs"]) == 2  # type: ignore[arg-type]
    with (root / "embeddings" / "cam1_track_meta.csv").open() as file:
        meta = next(csv.DictReader(file))
    with (root / "global_id_map.csv").open() as file:
        line = next(csv.DictReader(file))
    assert (meta["first_ns"], meta["last_ns"]) == (line["first_ns"], line["last_ns"])


def test_boxes_that_are_read_in_another_way_are_described_anew(video: Film, identify_root: Identify) -> None:
    root = video("cam1", (1, 2)).parent
    (root / "cam1" / "tracks.csv").write_text("1,1,32,16,128,208\n")
    identify_root()
    (root / "cam1" / "summary.json").write_text('{"box_format": "xyxy"}')
    assert identify_root().reused == 0


def test_times_of_the_table_that_are_utc_need_no_start(video: Film, identify_root: Identify) -> None:
    for name, second in (("cam1", 1772359200), ("cam2", 1772359230)):
        path = video(name, (1, 2)) / "tracks.csv"
        head, *lines = path.read_text().splitlines()
        rows = [f"{line},{second}.{at}" for at, line in enumerate(lines)]
        path.write_text("\n".join([f"{head},timestamp", *rows]))
    found = identify_root().outcome
    assert [video.is_timed for video in found.tracks.videos] == [True, True]
    assert [(flow.start, flow.end, flow.median_ns) for flow in found.flows] == [("cam1", "cam2", 29_200_000_000)]


def test_descriptors_kept_in_half_precision_are_those_that_were_compared(video: Film, identify_root: Identify) -> None:
    root = video("cam1", (1, 2), (2, 5)).parent
    half = CONFIG.model_copy(update={"backbone": Backbone(dtype="float16")})
    first = identify_root(half).outcome.tracks.vectors
    again = identify_root(half)
    assert again.reused == 1
    assert again.outcome.tracks.vectors.tolist() == first.tolist()
    assert ids(root)


@pytest.mark.parametrize("name", ["galleries", "embeddings"])
def test_a_video_in_a_folder_of_the_outputs_is_refused(video: Film, identify_root: Identify, name: str) -> None:
    root = video("cam1", (1, 2)).parent
    video(name, (1, 2))
    with pytest.raises(InvalidInput, match=f"{name} is where .* are put; give the folder of this video another name"):
        identify_root()
    assert (root / name / "tracks.csv").is_file()


def test_pictures_that_are_not_of_identities_are_never_replaced(video: Film, identify_root: Identify) -> None:
    root = video("cam1", (1, 2)).parent
    (root / "galleries").mkdir()
    (root / "galleries" / "holiday.jpg").write_text("mine")
    with pytest.raises(InvalidInput, match=r"galleries holds holiday.jpg"):
        identify_root()
    assert (root / "galleries" / "holiday.jpg").read_text() == "mine"


@pytest.mark.parametrize("name", ["galleries", "embeddings"])
def test_a_file_where_outputs_belong_is_named(video: Film, identify_root: Identify, name: str) -> None:
    root = video("cam1", (1, 2)).parent
    (root / name).write_text("mine")
    with pytest.raises(InvalidInput, match=f"{name} is no folder, and outputs belong into one of this name"):
        identify_root()
    (root / name).unlink()
    (root / name).symlink_to("nowhere")
    with pytest.raises(InvalidInput, match=f"{name} is no folder"):
        identify_root()


def test_a_video_whose_outputs_cannot_be_put_beside_it_is_left_out(
    video: Film, identify_root: Identify, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = video("cam1", (1, 2)).parent
    video("cam2", (1, 2))
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "cam2")  # as on a disk that is read-only
    found = identify_root()
    assert "cam2 cannot be written to, and outputs belong there" in found.skipped["cam2"]
    assert set(ids(root)) == {("cam1", 1)}
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != root)
    assert check_root(root, CONFIG).status == 2
    with pytest.raises(InvalidInput, match="root cannot be written to"):
        identify_root()


def test_boxes_of_which_nothing_is_seen_give_no_crop(video: Film, identify_root: Identify) -> None:
    folder = video("cam1", (1, 2), (2, 5))
    table = folder / "tracks.csv"
    table.write_text(table.read_text() + "0,3,250,9,300,200\n2,4,260,9,300,200\n")
    found = identify_root(CONFIG.model_copy(update={"embed": Embed(frame_stride=2, min_box_size=16)})).outcome.tracks
    assert dict(zip(found.numbers.tolist(), found.embedded.tolist(), strict=True)) == {
        1: True,
        2: True,
        3: False,
        4: False,
    }


def test_a_folder_whose_name_is_no_utf_8_is_left_out(video: Film, identify_root: Identify) -> None:
    root = video("cam1", (1, 2)).parent
    (root / "cam1").rename(os.fsdecode(os.fsencode(root) + b"/caf\xe9"))
    video("cam2", (1, 2))
    found = identify_root()
    assert list(found.skipped) == ["caf\\udce9"]
    assert "rename it" in found.skipped["caf\\udce9"]


def test_names_that_spreadsheets_would_take_for_formulas_are_quoted_and_read_back(
    video: Film, identify_root: Identify
) -> None:
    root = video("=cmd()", (1, 2)).parent
    video("'cam", (1, 2))
    identify_root()
    numbers = ids(root)
    assert set(numbers) == {("'=cmd()", 1), ("''cam", 1)}
    assert identify_root().numbered.ids.tolist() == list(numbers.values())
    assert check_root(root, CONFIG).status == 0


def test_a_check_waits_for_who_is_publishing(video: Film, identify_root: Identify) -> None:
    root = video("cam1", (1, 2)).parent
    identify_root()
    half = root / ".identities.complete" / "global_id_map.csv"
    statuses: list[int] = []
    checking = threading.Thread(target=lambda: statuses.append(check_root(root, CONFIG).status))
    with claimed(root):
        half.parent.mkdir()
        half.write_text("half")
        checking.start()
        checking.join(0.5)
        assert half.read_text() == "half"
        shutil.rmtree(half.parent)
    checking.join()
    assert statuses == [0]


def test_runs_at_once_leave_what_one_of_them_made(video: Film, identify_root: Identify, tmp_path: Path) -> None:
    root = video("cam1", (1, 2)).parent
    video("cam2", (1, 5))
    identify_root()
    loose = CONFIG.model_copy(update={"associate": Associate(min_sim=-1, scale="cosine")})
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(identify_root, config) for config in (loose, CONFIG)]
        checks = [pool.submit(check_root, root, CONFIG) for _ in range(2)]
    assert {each.result().skipped == {} for each in runs} == {True}
    assert {each.result().checks[-1].found.split(",")[0] for each in checks} <= {"1 in the map", "2 in the map"}
    assert all(each.passed for each in check_root(root, CONFIG).checks)
    assert sorted(path.name for path in root.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("block", [1, 1_000_000])
def test_wrong_pairs_are_counted_once_whatever_is_looked_at_in_one_go(
    video: Film, identify_root: Identify, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    root = video("cam1", *((number, 2) for number in range(1, 6))).parent
    identify_root()
    path = root / "global_id_map.csv"
    path.write_text(re.sub(r"^(cam1,\d+),\d+", r"\1,1", path.read_text(), flags=re.MULTILINE))
    monkeypatch.setattr("throughline.tracker.identities.constraints._AT_ONCE", block)
    found = {each.what: each.found for each in check_root(root, CONFIG).checks}
    assert found["no identity is there twice in a video at one time, more than 0.3 s"] == (
        "10 pairs of tracks, such as #1: cam1 1 and cam1 2; #1: cam1 1 and cam1 3; #1: cam1 1 and cam1 4"
    )


def test_videos_linked_from_other_disks_are_identified_there(
    video: Film, identify_root: Identify, tmp_path: Path
) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    root = video("cam1", (1, 2)).parent
    away = Path(shutil.copytree(root / "cam1", other / f"throughline-{os.getpid()}-{tmp_path.name}"))
    try:
        (root / "cam2").symlink_to(away)
        identify_root()
        assert {name for name, _ in ids(root)} == {"cam1", "cam2"}
        assert (away / "tracks_global.csv").is_file()
    finally:
        shutil.rmtree(away)
