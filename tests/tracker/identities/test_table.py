"""Tables of boxes as many tools write them, and mistakes named by file, line and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from throughline.domain.errors import InvalidInput
from throughline.tracker.identities.table import read_rows

BOX = [10.0, 20.0, 40.0, 100.0]


@pytest.mark.parametrize(
    "text",
    [
        "1,7,10,20,30,80\n",
        "1,7,10,20,30,80,0.9,-1,-1,-1\n",
        "# made by a tool\n1 7 10 20 30 80 0.9\n",
        "frame,id,left,top,width,height\n0,7,10,20,30,80\n",
        "\ufeffFrame;Track ID;X1;Y1;X2;Y2\n0;7;10;20;40;100\n",
        "frame_idx,tracker_id,xmin,ymin,xmax,ymax,confidence,class_name\n0,7.0,10,20,40,100,0.9,person\n",
        "frame,track_id,x,y,w,h\n0,7,10,20,30,80\n",
        "frame,track_id,cx,cy,w,h,class_id\n0,7,25,60,30,80,0\n",
        "track_id\tframe\tbb_left\tbb_top\tbb_width\tbb_height\n7\t0\t10\t20\t30\t80\n\n",
        "frame,track_id,left,top,right,bottom\r\n0,7,10,20,40,100\r\n",
    ],
)
def test_tables_of_other_tools_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text(text, encoding="utf-8")
    rows = read_rows(path, ("person",))
    assert (rows.frames.tolist(), rows.track_ids.tolist()) == ([0], [7])
    assert rows.boxes.tolist() == [BOX]
    assert rows.classes == ("person",)
    assert rows.times_ns is None


def test_a_table_without_a_header_may_have_corners(tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text("1,7,10,20,40,100,0.9\n")
    assert read_rows(path, corners=True).boxes.tolist() == [BOX]


def test_rows_are_put_in_order_and_detections_without_a_track_left_out(tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text("2,5,0,0,9,9,.5\n1,-1,0,0,9,9,.5\n1,5,0,0,9,9,-1\n3,2,0,0,9,9,.5\n")
    rows = read_rows(path)
    assert list(zip(rows.track_ids.tolist(), rows.frames.tolist(), strict=True)) == [(2, 2), (5, 0), (5, 1)]
    assert rows.scores.tolist() == [0.5, 1, 0.5]


def test_times_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    head = "frame,track_id,left,top,right,bottom,"
    for column, text, ns in (
        ("time_ns", "1772359200393000001", 1772359200393000001),
        ("timestamp", "0.1", 100_000_000),
        ("time", "01:02.5", 62_500_000_000),
    ):
        path.write_text(f"{head}{column}\n0,1,0,0,9,9,{text}\n")
        times = read_rows(path).times_ns
        assert times is not None
        assert times.tolist() == [ns]
        assert times.dtype == np.int64


def test_numbered_classes_get_their_names(tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text("frame,track_id,left,top,right,bottom,cls\n0,1,0,0,9,9,1\n0,2,0,0,9,9,7\n0,3,0,0,9,9,dog\n")
    assert read_rows(path, ("person", "bag")).classes == ("bag", "class 7", "dog")


@pytest.mark.parametrize("text", ["", "\n", "frame,track_id,left,top,right,bottom\n"])
def test_a_table_without_rows_has_no_tracks(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text(text)
    assert len(read_rows(path).track_ids) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2,3\n", "line 1: 3 columns without a header"),
        ("frame,left,top,right,bottom\n0,1,1,2,2\n", "line 1: no column for track_id among frame, left"),
        ("a,b\nc,d\n", "no column for frame and track_id and left,top,right,bottom"),
        ("1,7,10,20,30,80\n2,7,ten,20,30,80\n", "line 2, column 3 (left): 'ten' is not a finite number"),
        ("1,7,10,20,30,nan\n", "line 1, column 6 (height)"),
        ("1,7,10,20,30,80\n2,7,10\n", "line 2: column 5 (width) is missing; the line has 3"),
        ("1.5,7,10,20,30,80\n", "line 1, column 1 (frame): '1.5' is not a whole number"),
        ("0,7,10,20,30,80\n", "line 1: frame 0 is before the first"),
        ("1,7,10,20,0,80\n", "line 1: the box has no area"),
        ("frame,track_id,left,top,right,bottom,time\n0,1,0,0,9,9,soon\n", "is not a time in seconds"),
    ],
)
def test_mistakes_are_named_by_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text(text)
    with pytest.raises(InvalidInput) as raised:
        read_rows(path)
    assert said in str(raised.value)
    assert str(path) in str(raised.value)


def test_what_is_no_text_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    path.write_bytes(b"\xff\xfe\x00\x80frame")
    with pytest.raises(InvalidInput, match="no text in UTF-8"):
        read_rows(path)


@pytest.mark.parametrize("comment", ["# by a tool; of 3, rows, and, more, commas\n", "#,,,,,,,,\n" * 1000, "\n\n#;\n"])
def test_comments_say_nothing_about_what_separates_columns(tmp_path: Path, comment: str) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text(f"{comment}1 7 10 20 30 80 0.9\n")
    assert read_rows(path).boxes.tolist() == [BOX]


def test_classes_of_our_own_tables_are_read_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text("frame,track_id,class,left,top,right,bottom\n0,1,'=bag,0,0,9,9\n0,2,'bag,0,0,9,9\n")
    assert read_rows(path).classes == ("=bag", "'bag")


def test_a_frame_that_no_video_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text("9000000000000,7,10,20,30,80\n")
    with pytest.raises(InvalidInput, match="line 1: frame 9000000000000 is after frame"):
        read_rows(path)
