"""What the encoder writes plays through in a real browser; skipped where there is no Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND
from throughline.media.encode import Encoder

SIZE = Size(320, 180)
PLAY = """async () => {
  const video = document.querySelector('video');
  const ended = new Promise((resolve, reject) => {
    video.onended = resolve;
    video.onerror = () => reject(new Error(video.error.message));
  });
  await video.play();
  await ended;
  return {width: video.videoWidth, height: video.videoHeight, seconds: video.duration,
          dropped: video.getVideoPlaybackQuality().corruptedVideoFrames};
}"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_a_film_of_uneven_frames_plays_through_in_chromium(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    with Encoder(film, SIZE) as encoder:
        for number, at_ms in enumerate([0, 66, 133, 500, 533, 900]):
            picture = np.full((SIZE.height, SIZE.width, 3), 40 * number, np.uint8)
            encoder.write(picture, at_ms * NS_PER_MS)
        encoder.close(NS_PER_SECOND)
    (tmp_path / "page.html").write_text('<video src="film.mp4" muted></video>')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        played = page.evaluate(PLAY)
        browser.close()
    assert (played["width"], played["height"], played["dropped"]) == (SIZE.width, SIZE.height, 0)
    assert played["seconds"] == pytest.approx(1.0, abs=0.001)
