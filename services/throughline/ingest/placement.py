"""Where a chunk lies in its reel, given where it says that it lies and where the one before it ends."""

from __future__ import annotations

from dataclasses import dataclass

from throughline.domain.time import NS_PER_SECOND, Instant, Interval


@dataclass(frozen=True, slots=True)
class Place:
    """`start` is the stated time moved by `snapped_ns`."""

    start: Instant
    snapped_ns: int = 0


def place(previous: Interval | None, stated: Instant, duration_ns: int, snap_ns: int) -> Place | None:
    """Place a chunk after `previous`, or answer None where its time is covered already.

    Chunks come in order of their stated times. Those whose stated times disagree with their content by less than `snap_ns` are laid
    end to end. The comparison is always with the chunk's own stated time: where recordings run longer or shorter than their names
    say, chunk after chunk, the reel follows the content until it is `snap_ns` off, and then returns to the stated time.

    What is further away is a gap, or an overlap: then the earlier chunk ends where the later one starts, unless both start together
    or the later one ends first. Then the later one is covered.
    """
    if previous is None:
        return Place(stated)
    error_ns = stated - previous.end
    if abs(error_ns) < snap_ns:
        return Place(previous.end, -error_ns)
    if error_ns > 0:
        return Place(stated)
    if stated - previous.start < snap_ns or stated + duration_ns <= previous.end:
        return None
    return Place(stated)


_SHARE = 4
"""One part in so many of what a chunk is off is made good within it; so a steady drift settles at as many times itself."""
_MOST_PPB = NS_PER_SECOND // 50
"""Two in a hundred: nobody sees it, and no clock or recorder that works is off by as much."""


def spread(where: Place, following: Instant | None) -> int:
    """By how many billionths a chunk's times are stretched, so that the reel comes back to what its chunks state.

    A chunk laid end to end is off by `-where.snapped_ns`. Where each of a day's chunks lasts a little less, or more, than the time to the
    next one's name, that would add up until the reel has to jump. `following` is the time that the next chunk states.
    """
    until_next_ns = 0 if following is None else following - (where.start + -where.snapped_ns)
    if until_next_ns <= 0:
        return 0
    wanted = -where.snapped_ns * NS_PER_SECOND // (_SHARE * until_next_ns)
    return max(-_MOST_PPB, min(wanted, _MOST_PPB))
