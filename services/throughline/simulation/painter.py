"""Draws a figure into a frame: projects its parts, orders them from far to near, and fills them with two-tone shading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.simulation.body import Figure
from throughline.simulation.camera import Camera

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

_SHIFT = 3
_ARC = np.linspace(np.pi / 2, 3 * np.pi / 2, 7)
_SHADE, _LIT = 0.7, 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A figure as flat polygons, far ones first."""

    polygons: tuple[Array, ...]
    """Each (k, 2) pixels, convex."""
    colours: Image
    """(n, 4) uint8 BGR in the camera's colours, and 255."""

    def bounds(self) -> tuple[float, float, float, float]:
        """left, top, right, bottom in pixels, whether inside the frame or not."""
        points = np.concatenate(self.polygons)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    def paint(self, patch: Image, left: int, top: int) -> None:
        """Fill the polygons in (h, w, 4) `patch`, whose corner is pixel (left, top) of the frame."""
        points = np.rint((np.concatenate(self.polygons) - [left, top]) * (1 << _SHIFT)).astype(np.int32)
        end = 0
        for polygon, colour in zip(self.polygons, self.colours.tolist(), strict=True):
            start, end = end, end + len(polygon)
            cv2.fillConvexPoly(patch, points[start:end], colour, cv2.LINE_AA, _SHIFT)


def draw_figure(figure: Figure, camera: Camera, place: Array, heading: float, brightness: float) -> Drawing | None:
    """Project a figure that stands at (2,) `place`, turned to `heading`; None where part of it is behind the camera."""
    frame = _Frame(camera, place, heading)
    parts: list[tuple[float, list[Array], list[tuple[float, float, float]]]] = []
    ok = _capsules(figure, frame, parts) and _hulls(figure, frame, parts)
    if not ok:
        return None
    parts.sort(key=lambda part: part[0])
    polygons = [polygon for _, shapes, _ in parts for polygon in shapes]
    colours = np.array([colour for _, _, tones in parts for colour in tones])
    return Drawing(tuple(polygons), to_pixels(camera, colours * brightness))


def to_pixels(camera: Camera, colours: Array) -> Image:
    """(n, 3) BGR in 0..1 to (n, 4) uint8 in the camera's colours, opaque."""
    seen = np.rint(camera.look.apply(np.clip(colours, 0, 1)) * 255)
    return np.column_stack([seen, np.full(len(seen), 255)]).astype(np.uint8)


class _Frame:
    """The body's own axes, seen from one camera."""

    def __init__(self, camera: Camera, place: Array, heading: float) -> None:
        self.camera, self.place = camera, place
        c, s = np.cos(heading), np.sin(heading)
        self.turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        away = self.turn[:2, :2] @ (camera.position[:2] - place)
        self.toward = away / max(1e-6, float(np.hypot(*away)))

    def project(self, points: Array) -> tuple[Array, Array]:
        """(n, 3) metres of the body's frame to pixels and depths."""
        return self.camera.project(points @ self.turn + [self.place[0], self.place[1], 0.0])

    def nearness(self, points: Array) -> Array:
        """(n,) metres toward the camera."""
        return np.asarray(points[:, :2] @ self.toward)


Parts = list[tuple[float, list[Array], list[tuple[float, float, float]]]]


def _capsules(figure: Figure, frame: _Frame, parts: Parts) -> bool:
    if not figure.capsules:
        return True
    ends = np.array([(c.start, c.end) for c in figure.capsules])
    radii = np.array([(c.radius_start, c.radius_end) for c in figure.capsules])
    pixels, depths = frame.project(ends.reshape(-1, 3))
    if depths.min() < 0.3:
        return False
    pixels = pixels.reshape(-1, 2, 2)
    radii_px = radii * frame.camera.focal_px / depths.reshape(-1, 2)
    nearness = frame.nearness(ends.mean(axis=1))
    outline = capsule_outlines(pixels[:, 0], pixels[:, 1], radii_px[:, 0], radii_px[:, 1])
    shift = radii_px.max(axis=1)[:, None] * [-0.2, -0.1]
    lit = capsule_outlines(pixels[:, 0] + shift, pixels[:, 1] + shift, *(radii_px * 0.66).T)
    for i, capsule in enumerate(figure.capsules):
        dark = tuple(v * _SHADE for v in capsule.colour)
        parts.append((float(nearness[i]) + capsule.order, [outline[i], lit[i]], [dark, capsule.colour]))  # type: ignore[list-item]
    return True


def capsule_outlines(start: Array, end: Array, radius_start: Array, radius_end: Array) -> Array:
    """(n, 14, 2) convex outlines round two circles each."""
    along = end - start
    length = np.hypot(along[:, 0], along[:, 1])
    swallowed = length <= np.abs(radius_start - radius_end) + 1e-6
    bigger = np.maximum(radius_start, radius_end)
    centre = np.where((radius_start >= radius_end)[:, None], start, end)
    start, end = np.where(swallowed[:, None], centre, start), np.where(swallowed[:, None], centre, end)
    radius_start, radius_end = np.where(swallowed, bigger, radius_start), np.where(swallowed, bigger, radius_end)
    angle = np.arctan2(along[:, 1], along[:, 0])[:, None]
    first, second = angle + _ARC, angle + _ARC + np.pi
    return np.concatenate(
        [
            start[:, None] + radius_start[:, None, None] * np.stack([np.cos(first), np.sin(first)], axis=2),
            end[:, None] + radius_end[:, None, None] * np.stack([np.cos(second), np.sin(second)], axis=2),
        ],
        axis=1,
    )


def _hulls(figure: Figure, frame: _Frame, parts: Parts) -> bool:
    for number, hull in enumerate(figure.hulls):
        pixels, depths = frame.project(hull.rings.reshape(-1, 3))
        if depths.min() < 0.3:
            return False
        rings = pixels.reshape(*hull.rings.shape[:2], 2)
        shapes, tones = _shaded_bands(rings, hull.colours)
        if number == _torso_of(figure):
            for patch in figure.patches:
                if frame.toward[0] * patch.side > 0.12:
                    corners, _ = frame.project(patch.points)
                    shapes.append(_convex(corners))
                    tones.append(tuple(v * 0.9 for v in patch.colour))  # type: ignore[arg-type]
        middle = hull.rings.mean(axis=(0, 1))[None]
        parts.append((float(frame.nearness(middle)[0]) + hull.order, shapes, tones))
    return True


def _torso_of(figure: Figure) -> int:
    """Index of the hull that details lie on: the one with the most rings."""
    return max(range(len(figure.hulls)), key=lambda i: len(figure.hulls[i].rings))


def _shaded_bands(
    rings: Array, colours: Iterable[tuple[float, float, float]]
) -> tuple[list[Array], list[tuple[float, float, float]]]:
    """Bands from the lowest up; each also covers the one above it, which is drawn later, so that no seam shows."""
    middle = rings.mean(axis=1, keepdims=True)
    span = np.ptp(rings[..., 0], axis=1)[:, None, None]
    lit = middle + (rings - middle) * [0.68, 0.95] - span * [0.08, 0.0]
    dark_shapes, lit_shapes, dark, light = [], [], [], []
    last = len(rings) - 1
    for i, colour in enumerate(colours):
        pair = [i, min(i + 2, last)]
        dark_shapes.append(_convex(rings[pair].reshape(-1, 2)))
        lit_shapes.append(_convex(lit[pair].reshape(-1, 2)))
        dark.append((colour[0] * _SHADE, colour[1] * _SHADE, colour[2] * _SHADE))
        light.append(colour)
    return dark_shapes + lit_shapes, dark + light


def _convex(points: Array) -> Array:
    hull: Array = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    return hull


def above(values: NDArray[np.uint8] | NDArray[np.float32], limit: float) -> Image:
    """255 where `values` are greater than `limit`, else 0. Not by OpenCV, which cannot compare a single pixel with a number."""
    return np.asarray(values > limit).view(np.uint8) * np.uint8(255)


def draw_shadow(
    frame: Image, camera: Camera, place: Array, radius: float, reach: NDArray[np.float32], distance: float
) -> tuple[slice, slice] | None:
    """Darken the floor round (2,) `place` where the empty store's `reach`, (h, w) metres, is beyond `distance`.

    Returns the rows and columns that it changed, None where the floor is outside the frame.
    """
    angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    circle = np.column_stack([place[0] + radius * np.cos(angles), place[1] + radius * np.sin(angles), np.zeros(14)])
    pixels, depths = camera.project(circle)
    if depths.min() < 0.3:
        return None
    height, width = frame.shape[:2]
    left, top = np.clip(np.floor(pixels.min(axis=0)).astype(int) - 2, 0, [width, height])
    right, bottom = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + 2, 0, [width, height])
    if right <= left or bottom <= top:
        return None
    rows, columns = slice(int(top), int(bottom)), slice(int(left), int(right))
    roi = frame[rows, columns]
    dark = roi.copy()
    for share, gain in ((1.0, 0.88), (0.7, 0.72)):
        mask = np.zeros(roi.shape[:2], np.uint8)
        shape = pixels.mean(axis=0) + (pixels - pixels.mean(axis=0)) * share - [left, top]
        cv2.fillConvexPoly(mask, np.rint(shape * 8).astype(np.int32), 255, cv2.LINE_8, 3)
        cv2.copyTo(cv2.convertScaleAbs(roi, alpha=gain), mask, dark)
    cv2.copyTo(dark, above(reach[rows, columns], distance), roi)
    return rows, columns
