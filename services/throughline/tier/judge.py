"""Answers pairs from ground truth, in place of people: valid where the candidate shows the query's person most of the time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from throughline.domain.pairs import Verdict
from throughline.domain.truth import NOBODY, CameraTruth, TrackLabel, label_tracks
from throughline.storage.tables import read_tracks
from throughline.storage.truth import read_truth
from throughline.storage.workspace import Workspace
from throughline.tier.reviews import Judgement
from throughline.v1.common_pb2 import TrackRef
from throughline.v1.tier_pb2 import ReviewPair

_MOSTLY = 0.5
"""A track shows a person where more than this share of its boxes does."""


class TruthJudge:
    """Knows who is who in the footage of a simulated store."""

    def __init__(self, truth: Path, workspace: Workspace) -> None:
        self._truth: Mapping[str, CameraTruth] = read_truth(truth)
        self._workspace = workspace
        self._labels = cache(self._label)

    def judge(self, pair: ReviewPair) -> Judgement:
        """The answer of somebody who knows.

        Unsure about a camera that the truth does not know, where a track that changes from person to person shows the query's no
        longer than half of its time, or where the query's own track shows nobody that the truth has.
        """
        for camera in (pair.query.camera, pair.candidate.camera):
            if camera not in self._truth:
                return Judgement(pair.pair_id, Verdict.UNSURE, f"the ground truth knows no camera {camera}")
        query, candidate = self._shown(pair.query), self._shown(pair.candidate)
        if query.person == NOBODY:
            return Judgement(pair.pair_id, Verdict.UNSURE, "the query's track shows nobody of the ground truth")
        comment = f"shows person {candidate.person} in {candidate.share:.0%} of its boxes; the query is {query.person}"
        if candidate.person != query.person:
            return Judgement(pair.pair_id, Verdict.INVALID, comment)
        mostly = candidate.share > _MOSTLY
        return Judgement(pair.pair_id, Verdict.VALID if mostly else Verdict.UNSURE, comment)

    def _shown(self, track: TrackRef) -> TrackLabel:
        return self._labels(track.camera, track.tracks_key)[track.track_id]

    def _label(self, camera: str, tracks_key: str) -> dict[int, TrackLabel]:
        table = read_tracks(self._workspace.get(f"tracks/{tracks_key}").path("tracks.parquet"))
        return label_tracks(table, self._truth[camera])
