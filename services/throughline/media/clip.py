"""A video file as it was recorded: opened with care, and the packets of it that can be used. Decoding them is left to others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from throughline.domain.time import NS_PER_SECOND, ns_to_ticks, ticks_to_ns
from throughline.media.reorder import shown
from throughline.storage.object_store import ByteReader

CODECS = frozenset({"av1", "h264", "hevc", "mjpeg", "mpeg4", "vp9"})
"""What can be copied into MP4 and decoded again."""
LONGEST_JUMP_NS = 3600 * NS_PER_SECOND
"""A clip whose time stamps jump further is used only up to there."""
LONGEST_STEP_BACK_NS = NS_PER_SECOND
"""Time stamps of decoding that go back by more are those of a clock that was set back."""

LONGEST_TAIL_NS = 2 * NS_PER_SECOND
"""How much longer than its video a file may say that it is, as for sound that goes on."""


class UnusableClip(Exception):
    """A file that gives no footage. `code` is an incident's; the text says what is wrong, such as `it holds no video`."""

    def __init__(self, code: str, problem: str) -> None:
        super().__init__(problem)
        self.code = code


class Readable:
    """Bytes as FFmpeg can have them: what reading raises ends the file for FFmpeg, and is raised by `reraise`.

    FFmpeg passes over errors in places, and PyAV would raise them at its next one, whatever that is about.
    """

    def __init__(self, content: ByteReader) -> None:
        self._content = content
        self._error: Exception | None = None

    def read(self, count: int) -> bytes:
        if self._error is None:
            try:
                return self._content.read(count)
            except Exception as error:
                self._error = error
        return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._content.seek(offset, whence)

    def tell(self) -> int:
        return self._content.tell()

    def reraise(self) -> None:
        """Raise what reading raised, if it did."""
        if self._error is not None:
            raise self._error


_READ_BYTES = 2**19
"""What FFmpeg asks of a `Readable` in one go."""


@contextmanager
def open_clip(file: Path | Readable, *, to_decode: bool = False) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its first real video stream; raise UnusableClip where there is none.

    Edit lists are passed over: every frame that was recorded comes, in the order of decoding. Frames can be decoded only if the
    file was opened `to_decode`.
    """
    if not (file.stat().st_size if isinstance(file, Path) else file.seek(0, os.SEEK_END)):
        raise UnusableClip("chunk_empty", "it has no bytes")
    is_mp4 = _head(file)[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"styp")
    options = {"ignore_editlist": "1"}
    if is_mp4 and not to_decode:
        # It states when each packet is decoded; elsewhere FFmpeg has to decode some to find that out.
        options["skip_frame"] = "all"
    try:
        if isinstance(file, Path):
            container = av.open(str(file), "r", options=options)
        else:
            file.seek(0)
            container = av.open(file, "r", options=options, buffer_size=_READ_BYTES)
    except (av.FFmpegError, ValueError) as error:
        raise _unopened(is_mp4=is_mp4) from error
    with container:
        stream = _video_stream(container)
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        yield container, stream


class ClipPackets:
    """The usable packets of a clip, each with its PTS: from the first keyframe to the end, or to where the file breaks.

    Left out are frames shown before the first keyframe, which nothing can decode, and packets that are marked as broken.
    After the iteration `left_out` counts them, `lead` is how long before the first frame they began, in ticks of the clip, and
    `flaw` says why it ended early, if it did.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._packets = shown(container.demux(stream), stream, container.format.name)
        self._time_base = stream.time_base or Fraction(1, 90_000)
        # MP4 states how many frames there are; AVI counts the skipped ones as well, each of one tick; Matroska states a
        # duration, which FFmpeg would otherwise estimate.
        self._expected, self._stated_ns = stream.frames, 0
        if container.format.name == "avi":
            self._expected, self._stated_ns = 0, ticks_to_ns(stream.frames, self._time_base)
        elif container.format.name.startswith("matroska"):
            self._stated_ns = 1000 * (container.duration or 0)
        self._longest_jump = ns_to_ticks(LONGEST_JUMP_NS, self._time_base)
        self._first: int | None = None
        self._latest = 0
        self._latest_dts: int | None = None
        self._longest_step_back = ns_to_ticks(LONGEST_STEP_BACK_NS, self._time_base)
        self._seen = 0
        self._earliest: int | None = None
        self.left_out = 0
        self.flaw = ""

    def __iter__(self) -> Iterator[tuple[Packet[VideoStream], int]]:
        while not self.flaw:
            try:
                packet = next(self._packets, None)
            except av.FFmpegError as error:
                self.flaw = f"it breaks off ({error.strerror})"
                break
            if packet is None or not packet.size:
                break
            self._seen += 1
            pts = packet.pts if packet.pts is not None else packet.dts
            if pts is not None and not packet.is_corrupt and self._usable(packet, pts):
                yield packet, pts
            elif not self.flaw:
                self.left_out += 1
                if pts is not None and not packet.is_corrupt:
                    self._earliest = pts if self._earliest is None else min(pts, self._earliest)
        if not self.flaw:
            self.flaw = self._shortfall()

    def _shortfall(self) -> str:
        """What is missing by the file's own account; a stream that ends a little before the others misses nothing."""
        if self._seen < self._expected:
            return f"it breaks off: {self._seen} of {self._expected} frames are there"
        there_ns = ticks_to_ns(self._latest - (self._first or 0) + self.lead, self._time_base)
        if self._stated_ns - there_ns > LONGEST_TAIL_NS:
            stated, there = (round(ns / NS_PER_SECOND) for ns in (self._stated_ns, there_ns))
            return f"it breaks off: {there} of the {stated} s that its header states are there"
        return ""

    @property
    def lead(self) -> int:
        if self._first is None or self._earliest is None:
            return 0
        lead = self._first - self._earliest
        return lead if 0 < lead <= self._longest_jump else 0

    def _usable(self, packet: Packet[VideoStream], pts: int) -> bool:
        if self._first is None:
            if not packet.is_keyframe:
                return False
            self._first = self._latest = pts
        jump = pts - self._latest
        if abs(jump) > self._longest_jump or self._goes_back(packet.dts):
            seconds = ticks_to_ns(jump, self._time_base) // NS_PER_SECOND
            self.flaw = f"its time stamps jump by {seconds} s within the file"
            return False
        self._latest = max(self._latest, pts)
        return pts >= self._first

    def _goes_back(self, dts: int | None) -> bool:
        if dts is None:
            return False
        latest, self._latest_dts = self._latest_dts, dts
        return latest is not None and latest - dts > self._longest_step_back


def _video_stream(container: InputContainer) -> VideoStream:
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams or container.format.name.endswith(("_pipe", "image2")):
        raise UnusableClip("chunk_not_video", "it holds no video")
    codec = streams[0].codec_context.codec.canonical_name if streams[0].codec_context is not None else "unknown"
    if codec not in CODECS:
        raise UnusableClip(
            "chunk_codec_unsupported",
            f"its codec, {codec}, cannot be kept in MP4; record as {', '.join(sorted(CODECS))}",
        )
    return streams[0]


def _head(file: Path | Readable) -> bytes:
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return opened.read(8)
    file.seek(0)
    return file.read(8)


def _unopened(*, is_mp4: bool) -> UnusableClip:
    if is_mp4:
        return UnusableClip("chunk_truncated", "it is a broken MP4, cut off before its index or damaged in it")
    return UnusableClip("chunk_not_video", "it is not a video file that FFmpeg knows")
