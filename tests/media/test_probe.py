from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.media.clips import SMALL, Clip, make_clip, number_in, numbered_picture, steady
from throughline.domain.geometry import Size
from throughline.domain.time import Instant
from throughline.media.clip import ClipPackets, UnusableClip, open_clip
from throughline.media.probe import ClipScan, probe
from throughline.media.remux import ClipCopy, PartWriter


def test_a_clip_is_known_by_its_packets(tmp_path: Path) -> None:
    clip = Clip(
        steady(40, start_ticks=900_000),
        b_frames=2,
        rotation_degrees=270,
        audio=True,
        metadata=(("creation_time", "2026-03-01T10:00:00Z"),),
    )
    info = probe(make_clip(tmp_path / "clip.mp4", clip))

    assert (info.format.codec, info.format.coded, info.format.upright) == ("h264", Size(64, 192), Size(192, 64))
    assert info.format.rotation_degrees == 270
    assert (info.frame_count, info.left_out, info.pauses, info.flaw) == (40, 0, (), "")
    assert info.duration_ns == pytest.approx(40 * 1_000_000_000 / 15, abs=40_000_000)
    assert info.creation_time == Instant.parse("2026-03-01T10:00:00Z")


def test_pauses_are_found_whatever_the_order_of_frames(tmp_path: Path) -> None:
    clip = Clip(steady(15) + steady(15, start_ticks=900_000) + steady(15, start_ticks=1_800_000), b_frames=3)
    info = probe(make_clip(tmp_path / "clip.mp4", clip))

    assert info.pauses == ((1_000_000_000, 10_000_000_000), (11_000_000_000, 20_000_000_000))


def test_times_that_jump_by_more_than_an_hour_end_a_clip(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "clip.mkv", Clip(steady(12) + steady(12, start_ticks=90_000 * 4000))))

    assert info.frame_count == 12
    assert info.flaw.startswith("its time stamps jump by 3999 s")


def test_a_clock_that_is_set_back_ends_a_clip(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "first.ts", Clip(steady(30, start_ticks=900_000), b_frames=3))
    again = make_clip(tmp_path / "again.ts", Clip(steady(30, start_ticks=720_000), b_frames=3))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + again.read_bytes())
    info = probe(joined)

    assert 28 <= info.frame_count <= 30
    assert info.flaw.startswith("its time stamps jump by -")


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_frames_that_an_avi_skips_are_not_missed(tmp_path: Path, codec: str) -> None:
    times = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 20, 21, 22, 23]
    clip = make_clip(tmp_path / "clip.avi", Clip(times, time_base=Fraction(1, 15), codec=codec))
    info = probe(clip)

    assert (info.frame_count, info.flaw) == (len(times), "")
    pts = list(_times(clip).values())
    assert [each - pts[0] for each in pts] == times


@pytest.mark.parametrize("b_frames", [1, 2, 3, 16])
def test_frames_out_of_order_stand_where_they_belong_around_those_that_an_avi_skips(
    tmp_path: Path, b_frames: int
) -> None:
    times = [*range(6), *range(10, 17), *range(20, 24), *range(30, 37)]
    clip = make_clip(tmp_path / "clip.avi", Clip(times, time_base=Fraction(1, 15), b_frames=b_frames, gop=100))
    shown = _shown(clip)

    assert [number for _, number in shown] == list(range(len(times)))
    assert [pts - shown[0][0] for pts, _ in shown] == times


def test_an_avi_that_is_cut_off_says_so(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "clip.avi", Clip(steady(300))).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 4])

    assert probe(tmp_path / "cut.avi").flaw


@pytest.mark.parametrize("b_frames", [2, 16])
@pytest.mark.parametrize("lost", [0, 3, 20])
def test_an_avi_shows_frames_in_their_order_wherever_it_begins(tmp_path: Path, b_frames: int, lost: int) -> None:
    whole = make_clip(tmp_path / "whole.avi", Clip(range(90), time_base=Fraction(1, 15), b_frames=b_frames, gop=30))
    clip = tmp_path / "clip.avi"
    with av.open(str(whole)) as source, av.open(str(clip), "w") as cut:
        stream = cut.add_stream_from_template(source.streams.video[0], opaque=True)
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and number >= lost:
                packet.pts, packet.dts, packet.stream = None, number - lost, stream
                cut.mux(packet)
    writer = PartWriter(tmp_path / "part.mp4", Instant(0))
    with ClipScan(clip) as scan:
        copy = ClipCopy(writer, scan, Instant(scan.lead_ns))
        copy.run()
        copy.finish()
    writer.close()
    with av.open(str(tmp_path / "part.mp4")) as part:
        seen = [
            (round((frame.time or 0) * 15), number_in(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)))
            for frame in part.decode(video=0)
        ]
    first = 30 if lost else 0
    assert [number for _, number in seen] == list(range(first, 90))
    assert {time + lost - number for time, number in seen} == {0}


@pytest.mark.parametrize("at", [4, 5, 6])
def test_broken_frames_of_an_avi_that_shows_frames_out_of_order_move_no_later_ones(tmp_path: Path, at: int) -> None:
    clip = make_clip(tmp_path / "clip.avi", Clip(range(90), time_base=Fraction(1, 15), b_frames=3))
    times = _times(clip)
    data = bytearray(clip.read_bytes())
    for broken in sorted(times)[5:30]:
        data[broken + at] ^= 0x08
    clip.write_bytes(data)
    again = _times(clip)

    assert len(again) > 60
    moved = {pos: pts - times[pos] for pos, pts in again.items()}
    assert {moved[pos] for pos in sorted(times)[-30:]} == {moved[min(moved)]}


def _times(clip: Path) -> dict[int, int]:
    """PTS of the packets of a clip, by their place in the file."""
    with open_clip(clip) as (container, stream):
        return {packet.pos or 0: pts for packet, pts in ClipPackets(container, stream)}


def _shown(clip: Path) -> list[tuple[int, int]]:
    """PTS of the frames of an H.264 clip and the numbers that they show, as they come out of the decoder."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    frames: list[av.VideoFrame] = []
    with open_clip(clip) as (container, stream):
        decoder.extradata = stream.codec_context.extradata
        for packet, pts in ClipPackets(container, stream):
            packet.pts = pts
            frames += decoder.decode(packet)
        frames += decoder.decode(None)
    return [(frame.pts or 0, number_in(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))) for frame in frames]


def test_a_creation_time_of_a_clock_that_was_never_set_is_none(tmp_path: Path) -> None:
    clip = Clip(steady(5), metadata=(("creation_time", "1970-01-02T00:00:00Z"),))

    assert probe(make_clip(tmp_path / "clip.mp4", clip)).creation_time is None


def broken(folder: Path, kind: str) -> bytes:
    if kind == "ffv1":
        return make_clip(folder / "clip.mkv", Clip(steady(10), codec="ffv1")).read_bytes()
    whole = make_clip(folder / "whole.mp4", Clip(steady(40))).read_bytes()
    at = whole.index(b"mdat") + 4
    size = int.from_bytes(whole[at - 8 : at - 4], "big") - 8
    return {
        "empty": b"",
        "text": b"a shopping list\n" * 100,
        "picture": bytes(cv2.imencode(".jpg", numbered_picture(1, SMALL))[1]),
        "cut off": whole[: len(whole) * 2 // 3],
        "blanked": whole[:at] + bytes(size) + whole[at + size :],
    }[kind]


@pytest.mark.parametrize(
    ("kind", "code", "problem"),
    [
        ("empty", "chunk_empty", "it has no bytes"),
        ("text", "chunk_not_video", "it is not a video file that FFmpeg knows"),
        ("picture", "chunk_not_video", "it holds no video"),
        ("cut off", "chunk_truncated", "it is a broken MP4, cut off before its index or damaged in it"),
        ("blanked", "chunk_no_keyframe", "it has no keyframe that can be read"),
        (
            "ffv1",
            "chunk_codec_unsupported",
            "its codec, ffv1, cannot be kept in MP4; record as av1, h264, hevc, mjpeg, mpeg4, vp9",
        ),
    ],
)
def test_what_gives_no_footage_says_why(tmp_path: Path, kind: str, code: str, problem: str) -> None:
    path = tmp_path / "chunk"
    path.write_bytes(broken(tmp_path, kind))

    with pytest.raises(UnusableClip) as caught:
        probe(path)
    assert (caught.value.code, str(caught.value)) == (code, problem)


def test_frames_before_the_first_keyframe_are_left_out(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.ts", Clip(steady(40), gop=20))
    data = path.read_bytes()
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    # Drop the first picture's packets, but keep the tables: a recording that was cut anywhere.
    video = [
        index
        for index, packet in enumerate(packets)
        if packet[1] & 0x40 and packet[2] == 0x00 and packet[1] & 0x1F == 1
    ]
    path.write_bytes(b"".join(packets[: video[0]] + packets[video[1] :]))

    info = probe(path)

    assert info.frame_count == 20
    assert info.left_out > 0
