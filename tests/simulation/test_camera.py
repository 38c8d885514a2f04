import numpy as np

from throughline.domain.geometry import Size
from throughline.simulation.camera import aim, make_cameras
from throughline.simulation.layout import make_layout

SIZE = Size(1280, 720)


def test_a_camera_sees_its_target_in_the_middle_and_up_as_up() -> None:
    layout = make_layout(np.random.default_rng(0))
    (camera,) = make_cameras(layout, 1, SIZE, np.random.default_rng(1))
    forward = camera.rotation[2]
    pixels, depths = camera.project(
        np.array([camera.position + 4 * forward, camera.position + 4 * forward + [0, 0, 0.5]])
    )
    assert np.allclose(pixels[0], [640, 360])
    assert np.isclose(depths[0], 4)
    assert pixels[1, 1] < 360


def test_what_is_farther_looks_smaller() -> None:
    layout = make_layout(np.random.default_rng(0))
    (camera,) = make_cameras(layout, 1, SIZE, np.random.default_rng(1))
    right, _, forward = camera.rotation
    widths = []
    for metres in (2.0, 4.0):
        pixels, _ = camera.project(camera.position + np.stack([metres * forward, metres * forward + right]))
        widths.append(pixels[1, 0] - pixels[0, 0])
    assert np.isclose(widths[0], 2 * widths[1])


def test_rotations_are_orthonormal() -> None:
    rotation = aim(np.array([1.0, 2.0, 3.0]), np.array([4.0, 8.0, 1.0]))
    assert np.allclose(rotation @ rotation.T, np.eye(3))


def test_every_camera_hangs_inside_the_room_and_has_its_own_name_colours_and_clock() -> None:
    for seed in range(20):
        layout = make_layout(np.random.default_rng(seed))
        cameras = make_cameras(layout, 6, SIZE, np.random.default_rng(seed))
        assert len({camera.name for camera in cameras}) == 6
        assert len({camera.look for camera in cameras}) == 6
        assert len({camera.clock for camera in cameras}) == 6
        for camera in cameras:
            assert 0 < camera.position[0] < layout.width
            assert 0 < camera.position[1] < layout.depth
