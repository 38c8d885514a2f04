from __future__ import annotations

import numpy as np
import pytest

from throughline.domain.geometry import Size
from throughline.domain.time import Instant
from throughline.media.planes import Planes
from throughline.renderer.draw import (
    ORANGE,
    Caption,
    Image,
    Lettering,
    clock_text,
    dim,
    draw_box,
    draw_caption,
    duration_text,
)

MOMENT = Instant.parse("2026-03-01T10:00:04.2509Z")


def blank(height: int = 48, width: int = 640) -> Image:
    return np.zeros((height, width, 3), np.uint8)


def written(text: str) -> Image:
    image = blank()
    Lettering().write(image, text, (8, 32), 24)
    return image


@pytest.mark.parametrize("name", ["Kasse 3", "Größe", "Łódź", "Αθήνα", "камера", "東京", "مخرج", "שלום", "한국어"])
def test_camera_names_of_any_script_are_written(name: str) -> None:
    assert written(name).any()
    assert not np.array_equal(written(name), written("?" * len(name)))


def test_text_is_as_wide_as_it_says() -> None:
    lettering = Lettering()
    columns = np.flatnonzero(written("Kasse 3").any(axis=(0, 2)))
    assert columns[-1] < 8 + lettering.width("Kasse 3", 24)
    assert columns[-1] > 8 + lettering.width("Kasse 3", 24) - 6


def test_a_long_name_ends_in_an_ellipsis_and_fits() -> None:
    lettering = Lettering()
    fitted = lettering.fit("the camera above the very last aisle", 24, 200)
    assert fitted.startswith("the camera")
    assert fitted.endswith("…")
    assert lettering.width(fitted, 24) <= 200
    assert lettering.fit("name", 24, 0) == ""
    assert lettering.fit("two\nlines\t", 24, 600) == "two lines "


def test_times_are_written_to_the_millisecond_in_utc() -> None:
    assert clock_text(MOMENT) == "2026-03-01 10:00:04.250 UTC"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (4.24, "4.2 s"), (59.9, "59.9 s"), (185, "3 min 05 s"), (7640, "2 h 07 min")]
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration_text(round(seconds * 1e9)) == text


def test_a_narrow_caption_drops_the_date_and_keeps_the_name() -> None:
    wide, narrow = blank(28, 640), blank(28, 300)
    for bar in (wide, narrow):
        draw_caption(Lettering(), bar, Caption("north", MOMENT, ORANGE))
    name = slice(0, 90)
    assert np.array_equal(wide[:, name], narrow[:, name])
    assert not np.array_equal(wide[:, -300:], narrow)


def test_a_caption_with_everything_too_long_stays_within_its_bar() -> None:
    bar = blank(28, 120)
    draw_caption(
        Lettering(),
        bar,
        Caption("the camera above the very last aisle", MOMENT, ORANGE, "CANDIDATE", "3 min 05 s later"),
    )
    assert bar.any()


def test_a_box_is_drawn_where_it_is_and_nothing_where_it_is_unknown() -> None:
    image = blank(200, 300)
    draw_box(image, np.array([np.nan] * 4, np.float32), ORANGE)
    assert not image.any()
    draw_box(image, np.array([50, 40, 120, 160], np.float32), ORANGE)
    rows, columns = np.nonzero((image == ORANGE).all(axis=2))
    assert abs(int(columns.min()) - 50) <= 2
    assert abs(int(columns.max()) - 120) <= 2
    assert abs(int(rows.min()) - 40) <= 2
    assert abs(int(rows.max()) - 160) <= 2


def test_a_box_looks_the_same_on_planes() -> None:
    image, box = blank(200, 300), np.array([51, 40, 120, 161], np.float32)
    planes = Planes.black(Size(300, 200))
    draw_box(image, box, ORANGE)
    draw_box(planes, box, ORANGE)
    wanted = Planes.of_rgb(image)
    for drawn, plane in ((planes.y, wanted.y), (planes.u, wanted.u), (planes.v, wanted.v)):
        assert np.abs(drawn.astype(int) - plane).mean() < 2
        assert abs(int(drawn.max()) - int(plane.max())) < 6


def test_what_stands_still_is_two_thirds_as_bright() -> None:
    planes = Planes.of_rgb(np.full((16, 16, 3), (180, 120, 60), np.uint8))
    dim(planes)
    wanted = Planes.of_rgb(np.full((16, 16, 3), (120, 80, 40), np.uint8))
    for faded, plane in ((planes.y, wanted.y), (planes.u, wanted.u), (planes.v, wanted.v)):
        assert np.abs(faded.astype(int) - plane).max() <= 2
