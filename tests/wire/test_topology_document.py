"""Topologies as people write them: what is read, and what is said of mistakes."""

from __future__ import annotations

import pytest

from throughline.domain.errors import InvalidInput
from throughline.domain.time import NS_PER_SECOND
from throughline.domain.topology import Transit
from throughline.wire.topology_document import MAX_BYTES, parse_topology, unknown_cameras

SECOND = NS_PER_SECOND
STORE = """
cameras: [entrance, till, aisle 3, 007, no]
transits:
  - {from: entrance, to: till, least: 10, most: 300, median: 45, spread: 1.6}
  - between: [entrance, aisle 3]
    least: 4.5
overlaps:
  - [till, 007, no]
"""


def test_a_store_is_read() -> None:
    topology = parse_topology(STORE)
    assert topology.cameras == {"entrance", "till", "aisle 3", "007", "no"}
    assert topology.transits == {
        ("entrance", "till"): Transit(10 * SECOND, 300 * SECOND, 45 * SECOND, 1.6),
        ("entrance", "aisle 3"): Transit(4_500_000_000),
        ("aisle 3", "entrance"): Transit(4_500_000_000),
    }
    assert topology.overlaps == {("007", "till"), ("no", "till"), ("007", "no")}
    assert topology.overlaps_complete


def test_lists_that_are_left_out_say_nothing() -> None:
    topology = parse_topology("transits:\n  - {from: a, to: b, least: 3}\noverlaps:\n")
    assert topology.overlapping("a", "c") is None
    assert parse_topology("transits:").overlaps_complete is False
    assert parse_topology("cameras: [a, b]\noverlaps: []").overlapping("a", "b") is False


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "topology is None; expected a mapping with transits and overlaps"),
        ("- a", "topology is ['a']; expected a mapping"),
        ("transits: [", "topology: is no YAML: while parsing"),
        ("[" * 2_000, "topology: is no YAML"),
        ("a: 1\na: 2", "'a' stands twice"),
        ("transit: []", "has 'transit', which is not known (did you mean 'transits'?)"),
        ("zebra: 1", "has 'zebra', which is not known (known are cameras, overlaps, transits)"),
        ("transits: soon", "transits: is 'soon'; expected a list"),
        ("transits: [a]", "transits[0]: is 'a'; expected a mapping such as {from: a, to: b, least: 5}"),
        ("transits: [{from: a, least: 1}]", "transits[0]: lacks to; give from and to"),
        ("transits: [{from: a, between: [a, b], least: 1}]", "transits[0]: has both between and from, to"),
        ("transits: [{between: [a, b, c], least: 1}]", "transits[0].between: is ['a', 'b', 'c']; expected two cameras"),
        ("transits: [{from: a, to: a, least: 1}]", "transits[0]: leads from 'a' to itself"),
        ("transits: [{from: a/b, to: a, least: 1}]", "transits[0]: 'a/b' is no camera"),
        (
            "transits: [{from: a, to: b, leest: 1}]",
            "transits[0]: has 'leest', which is not known (did you mean 'least'?)",
        ),
        ("transits: [{from: a, to: b}]", "transits[0]: says nothing of the time"),
        ("transits: [{from: a, to: b, least: -1}]", "transits[0].least: is '-1'; expected seconds from 0 to 2592000"),
        ("transits: [{from: a, to: b, least: .nan}]", "transits[0].least: is '.nan'; expected seconds"),
        ("transits: [{from: a, to: b, least: soon}]", "transits[0].least: is 'soon'; expected seconds"),
        (
            "transits: [{from: a, to: b, least: 9, most: 3}]",
            "transits[0]: least 9.0 s is more than most 3.0 s; swap them",
        ),
        ("transits: [{from: a, to: b, median: 9}]", "transits[0]: median and spread belong together"),
        (
            "transits: [{between: [a, b], least: 1}, {from: b, to: a, least: 2}]",
            "transits[1]: 'b' to 'a' was said in transits[0]; say it once",
        ),
        ("overlaps: [[a]]", "overlaps[0]: is ['a']; expected a list of two or more cameras"),
        ("overlaps: [[a, a]]", "overlaps[0]: names a camera twice"),
        ("transits: [{from: a, to: b, least: 1}]\noverlaps: [[b, a]]", "transits: 'a' and 'b' overlap"),
        (
            "cameras: [till]\noverlaps: [[till, tlil]]",
            "overlaps[0]: 'tlil' is not among cameras (did you mean 'till'?)",
        ),
    ],
)
def test_mistakes_are_named_where_they_stand(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_topology(text)
    assert problem in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_topology("transits: [{from: a, to: b, least: x}, {from: a, least: 1}]\noverlaps: [[a]]")
    assert str(caught.value).count("\n") == 2


def test_a_document_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidInput, match="longer than"):
        parse_topology("#" * (MAX_BYTES + 1))


def test_cameras_without_footage_are_told_with_the_nearest_that_have_some() -> None:
    topology = parse_topology("overlaps: [[till, entrence, roof]]")
    text = unknown_cameras(topology, ["till", "entrance"])
    assert text == (
        "the topology names cameras without footage: 'entrence' (did you mean 'entrance'?), 'roof' (known are entrance, till)"
    )
    assert unknown_cameras(topology, ["till", "entrence", "roof"]) == ""
