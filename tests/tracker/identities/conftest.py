"""Roots of small videos of painted people, each with a table of its boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.tracker.footage import RATE, SIZE, Painted
from throughline.domain.work import Work
from throughline.media.encode import Encoder, EncoderSettings
from throughline.perception.triton.client import InferenceClient
from throughline.tracker.identities.config import Associate, Embed, ReidConfig
from throughline.tracker.identities.run import Found, identify

FRAMES = 9
CONFIG = ReidConfig(associate=Associate(min_sim=0.9, scale="cosine"), embed=Embed(frame_stride=2, min_box_size=4))
GREEN = Painted(0, 9, 2, cell_seconds=9)
GREY = Painted(0, 9, 5, upper=(70, 70, 70), lower=(90, 0, 0), cell_seconds=9)

Film = Callable[..., Path]
Identify = Callable[..., Found]


@pytest.fixture(scope="session")
def green_film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("film") / "green.mp4"
    with Encoder(path, SIZE, EncoderSettings(crf=12, threads=1)) as encoder:
        for frame in range(FRAMES):
            picture = np.full((SIZE.height, SIZE.width, 3), 12, np.uint8)
            for person in (GREEN, GREY):
                person.paint(picture, frame / RATE)
            encoder.write(picture, frame * 10**9 // RATE)
    return path.read_bytes()


@pytest.fixture
def video(tmp_path: Path, green_film: bytes) -> Film:
    """Makes ROOT/<name> of the film with a track for each of `tracks`: its number and its column."""

    def make(name: str, *tracks: tuple[int, int], start: str = "", **summary: object) -> Path:
        folder = tmp_path / "root" / name
        folder.mkdir(parents=True)
        (folder / "analysis.mp4").write_bytes(green_film)
        lines = [
            f"{frame},{number},{column * 32 - 32},16,{column * 32 + 64},208"
            for number, column in tracks
            for frame in range(FRAMES)
        ]
        (folder / "tracks.csv").write_text("\n".join(["frame,track_id,left,top,right,bottom", *lines]) + "\n")
        content = ({"start": start} if start else {}) | summary
        (folder / "summary.json").write_text(json.dumps(content))
        return folder

    return make


@pytest.fixture
def identify_root(tmp_path: Path, tiny_client: InferenceClient) -> Identify:
    def run(config: ReidConfig = CONFIG, **options: bool) -> Found:
        return identify(tmp_path / "root", config, tiny_client, Work(), **options)

    return run
