"""Parquet files that are written as rows come, so writing needs no more memory for more rows, and read with a check of their columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from throughline.domain.errors import CorruptArtifact

ROW_GROUP = 32_768
BOX_FIELDS: dict[str, pa.DataType] = dict.fromkeys(("left", "top", "right", "bottom"), pa.float32())


def schema(content: str, **fields: pa.DataType) -> pa.Schema:
    """Columns in order, with the name and revision of what the file holds in its metadata."""
    return pa.schema(list(fields.items()), metadata={"throughline": content})


class TableWriter:
    """A Parquet file that is written as rows come; row groups of `ROW_GROUP` rows, the last one smaller."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._pending: list[tuple[Any, ...]] = []
        self._pending_rows = 0
        self.rows = 0

    def write(self, *columns: Any) -> None:
        """Add rows: one array or list a column, in the schema's order. They are written later, so leave them as they are."""
        self._pending.append(columns)
        self._pending_rows += len(columns[0])
        self.rows += len(columns[0])
        if self._pending_rows >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._pending_rows:
            columns = zip(zip(*self._pending, strict=True), self._schema, strict=True)
            arrays = [_joined(pieces, field.type) for pieces, field in columns]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=ROW_GROUP)
        self._pending, self._pending_rows = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()


def _joined(pieces: Sequence[Any], kind: pa.DataType) -> pa.Array[Any]:
    """One column of its pieces. Arrow is asked once: each time costs as much as hundreds of rows."""
    if all(isinstance(piece, np.ndarray) for piece in pieces):
        return pa.array(np.concatenate(pieces), kind)
    if any(isinstance(piece, pa.Array) for piece in pieces):
        return pa.concat_arrays([piece if isinstance(piece, pa.Array) else pa.array(piece, kind) for piece in pieces])
    return pa.array([value for piece in pieces for value in piece], kind)


def read_table(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None, **options: Any) -> pa.Table:
    """A whole table, checked against its schema. Raises CorruptArtifact when the file holds something else."""
    with _readable(path):
        table = pq.read_table(path, columns=list(columns) if columns else None, **options)
        _check(path, table.schema, schema if columns is None else pa.schema([schema.field(name) for name in columns]))
    return table


def read_batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """A table in blocks of its rows, in their order; memory stays flat. Raises CorruptArtifact as `read_table` does."""
    with _readable(path), pq.ParquetFile(path) as file:
        _check(path, file.schema_arrow, schema)
        yield from file.iter_batches(ROW_GROUP)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, pa.ArrowException, KeyError) as error:
        raise CorruptArtifact(
            f"{path} cannot be read as a table: {error}; delete its artifact to make it anew"
        ) from error


def _check(path: Path, found: pa.Schema, wanted: pa.Schema) -> None:
    if not found.equals(wanted):
        raise CorruptArtifact(f"{path} has columns {found.names}, not {wanted.names}, or other types")
