"""Which executors are alive, in the records. What one that died was doing is vigil.py's matter.

Every start of an executor is a life of its own, with a name that no other life had. A life ends when its row goes: by its own
hand, because its executor was started again, or because it gave no sign of life. It never comes back, so that whoever was only
frozen finds out at the next change that it tries to make.
"""

from __future__ import annotations

import secrets
from typing import cast

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session

from throughline.orchestrator.inflight import Interrupted
from throughline.storage.records import Records
from throughline.storage.records.models import Executor


class Executors:
    """The living executors of all processes."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def join(self, name: str) -> str:
        """Begin a life under that name, which ends the one before it; return the life."""
        life = f"{name}.{secrets.token_hex(4)}"
        with self._records.write() as session:
            session.execute(delete(Executor).where(Executor.name == name))
            session.add(Executor(name=name, life=life, beat=0))
        return life

    def beat(self, life: str) -> bool:
        """Give a sign of life; return whether the life goes on."""
        with self._records.write() as session:
            beaten = session.execute(update(Executor).where(Executor.life == life).values(beat=Executor.beat + 1))
            return _count(beaten) > 0

    def beats(self) -> dict[str, int]:
        """The lives that go on, with a number that grows with each sign of life."""
        with self._records.read() as session:
            return {row.life: row.beat for row in session.execute(select(Executor.life, Executor.beat))}

    def give_up(self, life: str, beat: int) -> bool:
        """End the life of an executor unless it has given a sign since `beat`; return whether this ended it."""
        with self._records.write() as session:
            return _count(session.execute(delete(Executor).where(Executor.life == life, Executor.beat == beat))) > 0

    def leave(self, life: str) -> None:
        """End a life of one's own."""
        with self._records.write() as session:
            session.execute(delete(Executor).where(Executor.life == life))


def require_life(session: Session, life: str) -> None:
    """Raise Interrupted where the life has ended; where it goes on, it can't be ended before the session is."""
    query = select(Executor.life).filter_by(life=life).with_for_update(read=True, key_share=True)
    if session.scalar(query) is None:
        raise Interrupted


def _count(result: object) -> int:
    return cast("CursorResult[object]", result).rowcount
