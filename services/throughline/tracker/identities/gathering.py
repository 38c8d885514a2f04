"""Video after video to tracks in short; those that cannot be used are left out, with the reason, and never sink the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.work import Incident, Work
from throughline.tracker.identities.descriptors import Described
from throughline.tracker.identities.embedding import Describer
from throughline.tracker.identities.footage import read_footage
from throughline.tracker.identities.layout import VideoFolder, check_writable, printable, read_video
from throughline.tracker.identities.spans import video_tracks
from throughline.tracker.identities.tracks import VideoTracks

UNUSABLE = (InvalidInput, NotFound)
"""What is wrong with one video's files, and with no other's."""


class Gathering:
    """Keeps of each video its tracks in short, not its crops."""

    def __init__(self, describer: Describer, work: Work, *, strict: bool) -> None:
        """strict: raise InvalidInput for the first video that cannot be used."""
        self.parts: list[VideoTracks] = []
        self.incidents: list[Incident] = []
        self.made_of: dict[str, str] = {}
        self.folders: dict[str, VideoFolder] = {}
        self.skipped: dict[str, str] = {}
        """Why videos were left out, by their names."""
        self.best: dict[tuple[str, int], float] = {}
        """Quality of the best crop of each track."""
        self.reused = 0
        self._describer = describer
        self._work = work
        self._strict = strict

    def add(self, folder: Path) -> None:
        """Take one video, or leave it out."""
        try:
            self._take(read_video(folder))
        except UNUSABLE as error:
            name, problem = printable(folder.name), printable(error)
            if self._strict:
                raise InvalidInput(f"{name}: {problem}") from error
            self.skipped[name] = problem
            self.incidents.append(Incident("video_skipped", name, f"left out: {problem}"))

    def _take(self, video: VideoFolder) -> None:
        check_writable(video.folder)
        footage = read_footage(video)
        described, incidents, is_ready = self._describer.described(video, footage, self._work)
        ids, vectors = described.descriptors()
        by_number: Mapping[int, NDArray[np.float32]] = dict(zip(ids.tolist(), vectors, strict=True))
        class_filter = self._describer.config.embed.class_filter
        part = video_tracks(video, footage, class_filter, by_number, self._describer.card.embedding_dim or 0)
        self.parts.append(part)
        self.incidents += incidents
        if not len(part.numbers):
            self.incidents.append(Incident("video_without_tracks", video.name, "no tracks are in its tracks.csv"))
        self.made_of[video.name] = described.made_of
        self.folders[video.name] = video
        self.reused += is_ready
        self._note_qualities(video.name, described)

    def _note_qualities(self, name: str, described: Described) -> None:
        qualities = described.sample_qualities.tolist()
        for number, quality in zip(described.sample_tracks.tolist(), qualities, strict=True):
            self.best[name, number] = max(quality, self.best.get((name, number), 0.0))
