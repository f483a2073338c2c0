"""Evidence that this node keeps: whoever was convicted stays so over a restart."""

from __future__ import annotations

from collections.abc import Collection

from p2pnode.storage.engine import Engine
from p2pnode.storage.rows import uint64_cell, uint64_of
from p2pnode.storage.schema import EVIDENCE
from wire import limits
from wire.codec import decode, encode
from wire.evidence import Evidence
from wire.ids import Digest


def save_evidence(engine: Engine, name: Digest, evidence: Evidence, heard_at: int) -> None:
    """Keep a checked piece under its name."""
    with engine.writing_disk(), engine.database.writing() as connection:
        EVIDENCE.put(connection, (bytes(name), uint64_cell(heard_at), encode(evidence)))


def forget_evidence(engine: Engine, names: Collection[Digest]) -> None:
    """Let pieces go; those that are not kept are none."""
    with engine.writing_disk(), engine.database.writing() as connection:
        for name in names:
            EVIDENCE.delete(connection, bytes(name))


def load_evidence(engine: Engine) -> list[tuple[Digest, int, Evidence]]:
    """Return the name of each piece, when it came, and the piece; the earliest first."""
    found = []
    with engine.database.reading() as connection:
        for name, heard_at, data in EVIDENCE.each(connection, "ORDER BY heard_at, name"):
            assert isinstance(name, bytes)
            assert isinstance(data, bytes)
            evidence = decode(data, Evidence, bytes_max=limits.EVIDENCE_BYTES_MAX)
            found.append((Digest(name), uint64_of(heard_at), evidence))
    return found
