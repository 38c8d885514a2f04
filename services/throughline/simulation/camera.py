"""Pinhole cameras: where they hang, how they project, how they see colour, and how wrong their clocks are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_MS, ClockMap
from throughline.simulation.layout import Layout

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Look:
    """How a camera renders colour: linear BGR in 0..1 becomes its own BGR."""

    balance: tuple[float, float, float]
    gamma: float
    saturation: float
    contrast: float
    brightness: float
    vignette: float
    noise: float
    """Standard deviation of the sensor noise in grey levels."""
    blur: bool

    def apply(self, colours: NDArray[np.floating]) -> NDArray[np.floating]:
        """Map (..., 3) BGR in 0..1 to this camera's BGR in 0..1."""
        grey = colours @ np.array([0.114, 0.587, 0.299], colours.dtype)
        toned = grey[..., None] + (colours - grey[..., None]) * self.saturation
        toned = toned * np.array(self.balance, colours.dtype)
        toned = np.clip(toned, 0.0, 1.0) ** self.gamma
        out: NDArray[np.floating] = np.clip((toned - 0.5) * self.contrast + 0.5 + self.brightness, 0.0, 1.0)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """One camera of the store."""

    name: str
    position: Array
    """(3,) metres."""
    rotation: Array
    """(3, 3): rows are the camera's right, down and forward directions in the world."""
    focal_px: float
    size: Size
    look: Look
    clock: ClockMap

    @property
    def centre(self) -> Array:
        """(2,) the principal point in pixels."""
        return np.array([self.size.width / 2, self.size.height / 2])

    def project(self, points: Array) -> tuple[Array, Array]:
        """(n, 3) world metres to (n, 2) pixels and (n,) depths in metres; pixels hold only where depth > 0."""
        seen = (points - self.position) @ self.rotation.T
        depth = np.maximum(seen[:, 2], 1e-3)
        return self.centre + seen[:, :2] * (self.focal_px / depth)[:, None], seen[:, 2]

    def may_see(self, place: Array) -> bool:
        """Whether anything of a person who stands at (2,) `place` can be in the frame; in doubt yes."""
        middle, depth = self.project(np.array([[place[0], place[1], 1.0]]))
        reach = 1.4 * self.focal_px / max(0.3, float(depth[0])) * 1.5
        x, y = middle[0]
        near = -reach < x < self.size.width + reach and -reach < y < self.size.height + reach
        return float(depth[0]) > -1.4 and (near or float(depth[0]) < 1.5)

    def ground_distance(self, points: Array) -> Array:
        """(n,) horizontal metres from the camera to (n, 2+) points."""
        return np.asarray(np.hypot(points[:, 0] - self.position[0], points[:, 1] - self.position[1]))


def aim(position: Array, target: Array) -> Array:
    """The rotation of a level camera at `position` that looks at `target`."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def make_cameras(layout: Layout, count: int, size: Size, rng: np.random.Generator) -> tuple[Camera, ...]:
    """Hang `count` cameras: the first two watch the same front from both sides, the others aisles and crossings."""
    views = _views(layout)
    order = [0, 1, *(2 + rng.permutation(len(views) - 2))]
    return tuple(_hang(layout, f"cam{i + 1}", views[order[i % len(views)]], size, rng) for i in range(count))


def _views(layout: Layout) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """(position, target) on the floor plan of every good place for a camera."""
    w, d, aisles = layout.width, layout.depth, layout.aisles
    near, far = layout.crossings[0], layout.crossings[-1]
    door_left = layout.door[0] < w / 2
    first, second = (0.3, w - 0.3) if door_left else (w - 0.3, 0.3)
    views = [
        ((second, 0.3), (layout.crossings[1], aisles[0] + 0.3)),
        ((first, 0.3), (layout.crossings[1], aisles[0] + 0.2)),
        ((0.3, aisles[-1] + 0.7), (w * 0.42, aisles[-1] - 0.4)),
        ((w - 0.3, aisles[-1] + 0.7), (w * 0.58, aisles[-1] - 0.4)),
        ((near if door_left else far, d - 0.7), (near if door_left else far, aisles[0] + 1.5)),
        ((far if door_left else near, d - 0.7), (far if door_left else near, aisles[0] + 1.5)),
        ((layout.crossings[1], d - 0.7), (layout.crossings[1], aisles[0] + 1.0)),
    ]
    for y in aisles[1:-1]:
        views += [((w - 0.3, y), (w * 0.5, y)), ((0.3, y), (w * 0.5, y))]
    return views


def _hang(
    layout: Layout,
    name: str,
    view: tuple[tuple[float, float], tuple[float, float]],
    size: Size,
    rng: np.random.Generator,
) -> Camera:
    (x, y), (tx, ty) = view
    spread = rng.uniform(-0.5, 0.5, 4)
    height = rng.uniform(2.5, 3.1)
    position = np.array([np.clip(x + spread[0] * 0.5, 0.2, layout.width - 0.2), y + spread[1] * 0.2, height])
    target = np.array([tx + spread[2], ty + spread[3] * 0.6, rng.uniform(0.7, 1.0)])
    angle = np.radians(rng.uniform(66, 84))
    offset_ms = int(rng.integers(-2500, 2501))
    return Camera(
        name=name,
        position=position,
        rotation=aim(position, target),
        focal_px=float(size.width / 2 / np.tan(angle / 2)),
        size=size,
        look=make_look(rng),
        clock=ClockMap(offset_ns=offset_ms * NS_PER_MS),
    )


def make_look(rng: np.random.Generator) -> Look:
    """Draw a camera's colours: warm to cold, flat to hard, dull to vivid."""
    warmth, tint = rng.uniform(-0.13, 0.13), rng.uniform(-0.04, 0.04)
    return Look(
        balance=(float(1.0 - warmth), float(1.0 + tint), float(1.0 + warmth)),
        gamma=float(np.exp(rng.uniform(-0.22, 0.22))),
        saturation=float(rng.uniform(0.65, 1.2)),
        contrast=float(rng.uniform(0.82, 1.1)),
        brightness=float(rng.uniform(-0.05, 0.05)),
        vignette=float(rng.uniform(0.05, 0.3)),
        noise=float(rng.uniform(0.8, 2.4)),
        blur=bool(rng.random() < 0.5),
    )
