"""A film that was copied from several cameras plays and seeks in a real browser, judged by its screen; skipped without Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.renderer.footage import EPOCH, Camera, FilmFrame, Seen
from tests.renderer.test_splicing import APART, B_FRAMES, PLAIN, share_copied
from tests.renderer.test_timelines import Made, expected_number, make, number_of
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, ClockMap

CAMERAS = [
    Camera("a", 1, [Seen(1, 3, 50)], x264=PLAIN, clock=ClockMap(offset_ns=7 * NS_PER_MS)),
    Camera("b", 2, [Seen(1, 40, 95)], x264=B_FRAMES, shift_ns=17 * NS_PER_MS, parts=(67,)),
    Camera("c", 3, [Seen(1, 98, 119)], clock=ClockMap(drift_ppb=150_000, reference=EPOCH)),
]
LOAD = """() => new Promise((resolve, reject) => {
  const video = document.querySelector('video');
  video.onerror = () => reject(new Error(video.error.message));
  video.oncanplaythrough = () => resolve({width: video.videoWidth, height: video.videoHeight, seconds: video.duration});
  video.src = 'film.mp4';
})"""
PLAY = """async () => {
  const video = document.querySelector('video'), times = [];
  const note = (_, frame) => { times.push(frame.mediaTime); video.requestVideoFrameCallback(note); };
  video.requestVideoFrameCallback(note);
  const ended = new Promise((resolve, reject) => {
    video.onended = resolve;
    video.onerror = () => reject(new Error(video.error.message));
  });
  await video.play();
  await ended;
  return {times, at: video.currentTime, corrupted: video.getVideoPlaybackQuality().corruptedVideoFrames};
}"""
SEEK = """seconds => new Promise((resolve, reject) => {
  const video = document.querySelector('video');
  video.onerror = () => reject(new Error(video.error.message));
  video.requestVideoFrameCallback(() => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  video.currentTime = seconds;
})"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("film"), CAMERAS, settings=APART)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_a_film_of_copies_plays_to_its_end_and_seeks_to_the_frame_in_chromium(made: Made, tmp_path: Path) -> None:
    assert share_copied(made) > 0.3
    shutil.copy(made.result.artifact.path("film.mp4"), tmp_path / "film.mp4")
    (tmp_path / "page.html").write_text("<body style='margin:0'><video muted style='display:block'></video>")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        loaded = page.evaluate(LOAD)
        played = page.evaluate(PLAY)
        at_end = _screen(page)
        chance = np.random.default_rng(4)
        points = [_amid_a_frame(made, chance.uniform(0, 1)) for _ in range(10)]
        seen = [(film_ns, _seek(page, film_ns)) for film_ns in points]
        browser.close()

    duration = made.document.duration_ns / NS_PER_SECOND
    assert (loaded["width"], loaded["height"]) == (made.document.size.width, made.document.size.height)
    assert loaded["seconds"] == pytest.approx(duration, abs=0.001)
    assert played["at"] == pytest.approx(duration, abs=0.001)
    assert played["corrupted"] == 0
    assert played["times"] == sorted(played["times"])
    _assert_shows(made, made.document.duration_ns - NS_PER_MS, at_end)
    for film_ns, screen in seen:
        _assert_shows(made, film_ns, screen)


def _amid_a_frame(made: Made, share: float) -> int:
    """A moment of the film in the middle of one of its frames."""
    starts = [frame.time_ns for frame in made.frames] + [made.document.duration_ns]
    index = int(share * len(made.frames))
    return (starts[index] + starts[index + 1]) // 2


def _seek(page: Page, film_ns: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    page.evaluate(SEEK, film_ns / NS_PER_SECOND)
    return _screen(page)


def _screen(page: Page) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """What the browser shows of the video: (h, w, 3) uint8 RGB."""
    data = np.frombuffer(page.locator("video").screenshot(), np.uint8)
    return cv2.cvtColor(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8), cv2.COLOR_BGR2RGB).astype(np.uint8)


def _assert_shows(made: Made, film_ns: int, screen: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Every tile shows its camera's frame of that moment."""
    by_name = {camera.name: camera for camera in CAMERAS}
    segment = next(each for each in made.document.segments if each.film_start_ns <= film_ns < each.film_end_ns)
    for tile in segment.tiles:
        expected = expected_number(by_name[tile.camera], segment, film_ns)
        assert number_of(FilmFrame(film_ns, screen), tile) == expected, (film_ns, tile.camera)
