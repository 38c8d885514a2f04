"""Orders tracks with others as context: who has the same neighbours as the person comes first. Says nothing of how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from throughline.domain.likeness import among, without
from throughline.domain.pairs import TrackId
from throughline.domain.rerank import Floats, reranked
from throughline.domain.tracks import TrackEmbeddings, concatenated
from throughline.tracker.match import Compared, Outcome, SetRule

MOST_TRACKS = 2_000
"""The most alike ones that take part, as candidates and as context; their number is squared."""


def in_context(
    compared: Sequence[Compared], embeddings: Sequence[TrackEmbeddings], rule: SetRule | None
) -> dict[TrackId, float]:
    """How alike each of the most alike tracks and the person are by their k-reciprocal neighbours: the higher, the more.

    `compared`: the most alike first; `embeddings`: of each camera. Those that cannot be the person are context too.
    """
    around = [each for each in compared if each.outcome is not Outcome.QUERY and not np.isnan(each.likeness)]
    around = around[:MOST_TRACKS]
    if not around:
        return {}
    alike = np.ones((len(around) + 1, len(around) + 1))
    alike[0, 1:] = alike[1:, 0] = [each.likeness for each in around]
    alike[1:, 1:] = _alike(around, embeddings, rule)
    found = reranked(alike, first=1)[0, 1:].round(9).tolist()
    return {each.track.track: value for each, value in zip(around, found, strict=True)}


def _alike(tracks: Sequence[Compared], embeddings: Sequence[TrackEmbeddings], rule: SetRule | None) -> Floats:
    """(t, t) likeness of tracks with each other, as they are compared with the person."""
    if rule is not None:
        looks = rule.looks(embeddings)
        embeddings = [
            replace(each, vectors=without(each.vectors, look)) for each, look in zip(embeddings, looks, strict=True)
        ]
    crops = []
    for number, each in enumerate(tracks):
        own = embeddings[each.row].only(each.track.track.number)
        crops.append(replace(own, track_ids=np.full(len(own.track_ids), number, np.int64)))
    whole = concatenated(crops)
    if rule is not None:
        return among(whole)
    descriptors = whole.descriptors()[1]
    return np.asarray(descriptors @ descriptors.T, np.float64)
