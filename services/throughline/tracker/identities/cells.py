"""Names in tables that people open in spreadsheets, where a cell that begins like a formula would be computed."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


def text_cell(text: str) -> str:
    """A name as it stands in a cell: one that begins like a formula, or with an apostrophe, gets an apostrophe before it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def cell_text(cell: str) -> str:
    """The name that `text_cell` made a cell of."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
