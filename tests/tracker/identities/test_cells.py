"""Names in cells of tables: no spreadsheet computes them, and they are read as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughline.tracker.identities.cells import cell_text, text_cell


@pytest.mark.parametrize(
    ("name", "cell"),
    [("=1+1", "'=1+1"), ("-2", "'-2"), ("@a", "'@a"), ("+49", "'+49"), ("'=a", "''=a"), ("o'hara", "o'hara"), ("", "")],
)
def test_what_begins_like_a_formula_gets_an_apostrophe(name: str, cell: str) -> None:
    assert text_cell(name) == cell


@given(st.text(st.sampled_from("'=+-@\ta"), max_size=5))
def test_names_are_read_as_they_were(name: str) -> None:
    cell = text_cell(name)
    assert cell_text(cell) == name
    assert not cell.startswith(("=", "+", "-", "@", "\t"))
