"""The index of successions: who has succeeded an owner, kept for as long as a lease of the predecessor could run."""

from __future__ import annotations

import sqlite3

from p2pnode.protocols.successions import SUCCESSORS_MAX, kept_until
from p2pnode.storage.recordfile import kept
from p2pnode.storage.rows import Row, uint64_cell
from p2pnode.storage.schema import LEASES, SUCCESSIONS
from wire import limits
from wire.codec import decode, encode
from wire.ids import Digest, PublicKey
from wire.ownership import Succession
from wire.records import Envelope
from wire.signed import Signed

_ENVELOPE_BYTES_MAX = limits.RECORD_BYTES_MAX + 1024


def succession_of(connection: sqlite3.Connection, owner: PublicKey) -> Signed[Succession] | None:
    """Return the succession of a key that is kept."""
    row = SUCCESSIONS.row(connection, bytes(owner))
    return None if row is None else _succession(row)


def heirs_of(connection: sqlite3.Connection, owner: PublicKey) -> tuple[PublicKey, ...]:
    """Return the keys that have succeeded a key, one after the other."""
    heirs: list[PublicKey] = []
    row = SUCCESSIONS.row(connection, bytes(owner))
    while row is not None and len(heirs) < SUCCESSORS_MAX:  # Dishonest keys may succeed each other in a circle.
        heirs.append(_key(row[1]))
        row = SUCCESSIONS.row(connection, bytes(heirs[-1]))
    return tuple(heirs)


def predecessors_of(connection: sqlite3.Connection, owner: PublicKey) -> list[PublicKey]:
    """Return the keys that a key has succeeded, and those that they have: at most SUCCESSORS_MAX."""
    found: list[PublicKey] = []
    successors = [owner]
    while successors:
        rows = SUCCESSIONS.rows(connection, "WHERE successor = ? LIMIT ?", (bytes(successors.pop()), SUCCESSORS_MAX))
        new = [key for key in (_key(row[0]) for row in rows) if key != owner and key not in found]
        found += new[: SUCCESSORS_MAX - len(found)]
        successors += new
        if len(found) >= SUCCESSORS_MAX:
            break
    return found


def put_succession(connection: sqlite3.Connection, succession: Signed[Succession]) -> None:
    """Keep a succession; the caller knows that none is kept of its predecessor."""
    record = succession.record
    SUCCESSIONS.put(
        connection,
        (
            bytes(record.predecessor),
            bytes(record.successor),
            bytes(succession.digest),
            encode(succession.envelope),
            uint64_cell(kept_until(succession)),
        ),
    )


def count(connection: sqlite3.Connection) -> int:
    """Return how many successions are kept."""
    return int(connection.execute("SELECT count(*) FROM successions").fetchone()[0])


def has_predecessor(connection: sqlite3.Connection, owner: PublicKey) -> bool:
    """Tell whether a key has succeeded another one that is known here."""
    return bool(SUCCESSIONS.rows(connection, "WHERE successor = ? LIMIT 1", (bytes(owner),)))


def needless_successions(connection: sqlite3.Connection, *, before: int, count_max: int) -> list[Signed[Succession]]:
    """Return successions that had to be kept until before `before`, and whose predecessor has no lease here."""
    rows = SUCCESSIONS.rows(connection, "WHERE kept_until < ? LIMIT ?", (uint64_cell(before), count_max))
    return [_succession(row) for row in rows if not LEASES.rows(connection, "WHERE owner = ? LIMIT 1", (row[0],))]


def forget_succession(connection: sqlite3.Connection, digest: Digest) -> None:
    """Forget the succession whose record has this digest."""
    for row in SUCCESSIONS.rows(connection, "WHERE record = ?", (bytes(digest),)):
        SUCCESSIONS.delete(connection, row[0])


def _succession(row: Row) -> Signed[Succession]:
    assert isinstance(row[3], bytes), "only bytes are written to this column"
    return kept(decode(row[3], Envelope, bytes_max=_ENVELOPE_BYTES_MAX), Succession)


def _key(cell: object) -> PublicKey:
    assert isinstance(cell, bytes), "only bytes are written to this column"
    return PublicKey(cell)
