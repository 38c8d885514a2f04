"""What people should know about a camera's chunks: one incident for each that is broken, one for all with the same oddity."""

from __future__ import annotations

from collections.abc import Iterator

from throughline.domain.footage import ChunkObject, ReelChunk, TimeSource
from throughline.domain.work import Incident, shortened

_ADVICE = {
    "chunk_empty": "upload it again",
    "chunk_truncated": "upload it again",
    "chunk_not_video": "move it out of the camera's folder",
    "chunk_corrupt": "upload it again, or check the recorder",
    "chunk_no_keyframe": "upload it again, or have the recorder start each file with a keyframe",
    "chunk_archived": "restore it from the archive and submit the job again",
    "chunk_denied": "grant the right and submit the job again",
    "chunk_gone": "submit the job again to use what is there now",
    "chunk_size_unsupported": "record it in another size",
    "chunk_codec_unsupported": "record it in another codec",
    "chunk_covered": "remove one of them, or correct its time",
}


class Account:
    """Collects incidents of one camera."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._incidents: list[Incident] = []
        self._overlapping: list[ReelChunk] = []
        self._undecodable: list[ReelChunk] = []
        self._guessed: list[ReelChunk] = []
        self._ambiguous: list[ReelChunk] = []

    def skipped(self, chunk: ChunkObject, code: str, problem: str) -> None:
        """Note a chunk that is left out."""
        advice = f". To use it, {_ADVICE[code]}" if code in _ADVICE else ""
        self._tell_of(code, chunk, f"chunk {self._camera}/{chunk.name} is left out of the reel: {problem}{advice}")

    def used(self, chunk: ReelChunk, *, is_ambiguous: bool) -> None:
        """Note what is odd about a chunk in the reel."""
        if chunk.problem:
            text = (
                f"chunk {self._camera}/{chunk.name} is used in part, {chunk.frame_count} frames: {chunk.problem}. "
                "What it should hold beyond is missing from the reel; upload it again to use it"
            )
            self._tell_of("chunk_truncated", chunk, text)
        elif chunk.undecodable_frames:
            self._undecodable.append(chunk)
        if chunk.dropped_frames:
            self._overlapping.append(chunk)
        if chunk.time is not None and chunk.time.source is TimeSource.LAST_MODIFIED:
            self._guessed.append(chunk)
        if is_ambiguous:
            self._ambiguous.append(chunk)

    def incidents(self) -> Iterator[Incident]:
        """All of them, the broken chunks first."""
        yield from shortened(self._incidents)
        yield from self._together(
            "chunk_undecodable",
            self._undecodable,
            f"{sum(chunk.undecodable_frames for chunk in self._undecodable)} frames are left out that nothing can decode: they "
            "come before the first keyframe of their file, or are broken; have the recorder start each file with a keyframe",
        )
        yield from self._together(
            "chunk_overlap",
            self._overlapping,
            f"their times overlap with the chunks after them; {sum(chunk.dropped_frames for chunk in self._overlapping)} "
            "frames are left out at their ends, so that no instant is shown twice",
        )
        yield from self._together(
            "chunk_time_guessed",
            self._guessed,
            "nothing says when they were taken, so the upload is taken for the end of the recording; name files by time, or "
            "set the object metadata start-time",
        )
        yield from self._together(
            "chunk_time_ambiguous",
            self._ambiguous,
            "their names give a local time that came twice, or never, when clocks were changed; the chunks around them "
            "tell which hour it was, else the earlier is taken, or the offset from before the change; name files in UTC or with a zone",
        )

    def _tell_of(self, code: str, chunk: ChunkObject | ReelChunk, text: str) -> None:
        self._incidents.append(Incident(code, chunk.uri, text, self._camera))

    def _together(self, code: str, chunks: list[ReelChunk], text: str) -> Iterator[Incident]:
        if chunks:
            names = ", ".join(chunk.name for chunk in chunks[:3]) + (", ..." if len(chunks) > 3 else "")
            message = f"camera {self._camera}, {len(chunks)} chunks ({names}): {text}"
            yield Incident(code, chunks[0].uri, message, self._camera)
