"""Items come in order while a few more are made; nothing is made once nobody takes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from throughline.perception.ahead import THREAD_NAME, made_ahead


class Maker:
    """Counts what it made, and says on which thread; fails at `bad`."""

    def __init__(self, bad: int | None = None) -> None:
        self.made = 0
        self.threads: set[int] = set()
        self.several = threading.Event()
        self._bad = bad

    def items(self, count: int) -> Iterator[int]:
        for number in range(count):
            if number == self._bad:
                raise ValueError(f"item {number}")
            self.threads.add(threading.get_ident())
            self.made += 1
            if self.made == 3:
                self.several.set()
            yield number


def working() -> list[str]:
    """Threads that make items."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


def test_items_come_in_order_from_another_thread() -> None:
    maker = Maker()
    assert list(made_ahead(maker.items(200), 3)) == list(range(200))
    assert threading.get_ident() not in maker.threads


def test_some_are_made_while_one_is_worked_on_and_no_more_than_asked_for() -> None:
    maker = Maker()
    coming = made_ahead(maker.items(200), 3)
    assert next(coming) == 0
    assert maker.several.wait(10)
    for taken in range(1, 50):
        assert next(coming) == taken
        assert maker.made <= taken + 4
    coming.close()


def test_an_error_comes_where_its_item_was_due() -> None:
    coming = made_ahead(Maker(bad=3).items(10), 2)
    assert [next(coming) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="item 3"):
        next(coming)
    assert not working()


@pytest.mark.parametrize("taken", [1, 3])
def test_whoever_stops_taking_leaves_the_rest_to_others(taken: int) -> None:
    source = Maker().items(20)
    coming = made_ahead(source, 2)
    assert [next(coming) for _ in range(taken)] == list(range(taken))
    assert working()
    coming.close()
    assert not working()
    assert taken <= next(source) <= taken + 2
