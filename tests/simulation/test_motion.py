from itertools import chain, combinations, pairwise

import numpy as np

from throughline.simulation.layout import make_layout
from throughline.simulation.motion import STEP_SECONDS, make_walks


def test_nobody_walks_through_shelves_or_jumps() -> None:
    for seed in range(15):
        rng = np.random.default_rng(seed)
        layout = make_layout(rng)
        for walk in chain(*make_walks(layout, 120.0, 8, rng)):
            steps = np.linalg.norm(np.diff(walk.places, axis=0), axis=1) / STEP_SECONDS
            assert steps.max() < 2.5
            for block in layout.blocks:
                inside = (walk.places > [block.x0, block.y0]) & (walk.places < [block.x1, block.y1])
                assert not inside.all(axis=1).any(), f"seed {seed}: through the {block.kind} at {block.x0, block.y0}"


def test_people_come_from_the_door_leave_by_it_and_come_back() -> None:
    rng = np.random.default_rng(4)
    layout = make_layout(rng)
    stays = make_walks(layout, 120.0, 8, rng)
    for walk in chain(*stays):
        assert np.linalg.norm(walk.places[0] - layout.door) < 1.0
        assert np.linalg.norm(walk.places[-1] - layout.door) < 1.0
    assert {len(walks) for walks in stays} == {1, 2}
    assert all(first.end < second.start for walks in stays for first, second in pairwise(walks))


def test_people_stop_on_their_way() -> None:
    stops = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        walk, *_ = make_walks(make_layout(rng), 120.0, 1, rng)[0]
        stops += int((walk.speeds[10:-10] < 0.05).sum() * STEP_SECONDS > 1.0)
    assert stops >= 4


def test_a_walk_answers_only_while_it_lasts() -> None:
    rng = np.random.default_rng(5)
    walk, *_ = make_walks(make_layout(rng), 120.0, 1, rng)[0]
    assert walk.at(walk.start - 0.01) is None
    assert walk.at(walk.end + 0.01) is None
    state = walk.at((walk.start + walk.end) / 2)
    assert state is not None


def test_nobody_walks_through_anybody() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        walks = list(chain(*make_walks(make_layout(rng), 60.0, 12, rng)))
        for moment in np.arange(0.0, 90.0, 0.5):
            states = [state for walk in walks if (state := walk.at(float(moment))) is not None]
            for (one, *_), (other, *_) in combinations(states, 2):
                assert np.linalg.norm(one - other) > 0.4, f"seed {seed}: two in one place at {moment} s"
