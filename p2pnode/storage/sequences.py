"""Sequence numbers that never come twice, also when the index is lost. Runs in worker threads.

The index has the highest number given out. A small file has a ceiling above it, raised in strides before it is
passed: when the index is gone, or was put back from a backup, counting goes on from the ceiling. When all of the disk
was put back, only others know: then every kind of number goes on far above whatever they saw (`leave_behind`).
"""

from __future__ import annotations

from p2pnode.errors import CallerError, LocalStorageError
from p2pnode.storage.engine import Engine, is_damage
from p2pnode.storage.names import SEQUENCES_NAME
from p2pnode.storage.recordfile import PURPOSES_MAX, SequenceCeiling, SequenceCeilings, read_record, record_bytes
from p2pnode.storage.rows import uint64_cell, uint64_of
from p2pnode.storage.schema import COUNTERS
from p2pnode.storage.sealed import DamagedFileError, NewerFormatError
from wire import limits

SEQUENCE_STRIDE = 1024
"""Numbers skipped at most when the index is lost; the ceiling's file is written once in as many."""


SEQUENCES_LEFT_BEHIND = 1 << 32
"""Numbers that are skipped when a whole disk was put back: more than were signed since, were it one a second for a
century; 64 bits have room for four thousand million such skips."""

EVERY_PURPOSE = "every purpose"
"""Its number is a floor for those of all purposes, also of such as the old disk has never heard of."""


def next_sequence(engine: Engine, purpose: str, at_least: int) -> int:
    """Return the next number, durable already. Raises as `SliverStore.next_sequence` says."""
    with engine.writing_disk(), engine.mutation:
        value = max(last_sequence(engine, purpose) + 1, at_least)
        _write_down(engine, purpose, value)
        return value


def last_sequence(engine: Engine, purpose: str) -> int:
    """Return a number that is not below any given out for the purpose, as far as this disk knows; 0 for none."""
    return max(_last(engine, purpose), _last(engine, EVERY_PURPOSE))


def leave_behind(engine: Engine, seen: int) -> None:
    """Let the numbers of all purposes go on far above `seen` and above all that this disk knows of.

    Raises as `SliverStore.leave_sequences_behind` says.
    """
    with engine.writing_disk(), engine.mutation:
        with engine.database.reading() as connection:
            given = [uint64_of(row[1]) for row in COUNTERS.rows(connection, "")]
        highest = max([seen, *given, *engine.ceilings.values()])
        _write_down(engine, EVERY_PURPOSE, highest + SEQUENCES_LEFT_BEHIND)


def _last(engine: Engine, purpose: str) -> int:
    ceiling = engine.ceilings.get(purpose, 0)
    with engine.database.reading() as connection:
        row = COUNTERS.row(connection, purpose)
    current = uint64_of(row[1]) if row else ceiling
    # An index this far behind is an old copy of itself.
    return ceiling if current + SEQUENCE_STRIDE < ceiling else current


def _write_down(engine: Engine, purpose: str, value: int) -> None:
    """Make a number count as given out, also when the index is lost."""
    if value > limits.UINT64_MAX:
        message = f"the sequence {purpose!r} cannot go to {value}: numbers have 64 bits"
        raise CallerError(message)
    if value > engine.ceilings.get(purpose, 0):
        raise_ceiling(engine, purpose, min(value + SEQUENCE_STRIDE - 1, limits.UINT64_MAX))
    with engine.database.writing() as connection:
        COUNTERS.put(connection, (purpose, uint64_cell(value)))


def read_ceilings(engine: Engine) -> dict[str, int]:
    """Return the ceilings on disk. Raises `LocalStorageError` when they are damaged."""
    try:
        record = read_record(engine.files.read(SEQUENCES_NAME))
    except FileNotFoundError:
        return {}
    except (DamagedFileError, NewerFormatError, OSError) as error:
        if isinstance(error, OSError) and not is_damage(error):
            raise
        message = (
            f"{SEQUENCES_NAME} in the data directory is damaged ({error}): remove it if index.db was not lost as well,"
            " else make a new node with 'p2pnode init', because this one might sign old numbers again"
        )
        raise LocalStorageError(message) from error
    if not isinstance(record, SequenceCeilings):
        message = f"{SEQUENCES_NAME} in the data directory holds something else: restore it from a backup"
        raise LocalStorageError(message)
    return {each.purpose: each.ceiling for each in record.ceilings}


def raise_ceiling(engine: Engine, purpose: str, ceiling: int) -> None:
    """Make durable that no number up to `ceiling` is free any more. Call it under `mutation`."""
    ceilings = {**engine.ceilings, purpose: ceiling}
    if len(ceilings) > PURPOSES_MAX:
        message = f"{len(ceilings)} purposes of sequences, at most {PURPOSES_MAX} are kept"
        raise CallerError(message)
    entries = tuple(SequenceCeiling(purpose=name, ceiling=ceilings[name]) for name in sorted(ceilings))
    engine.write_durably(SEQUENCES_NAME, record_bytes(SequenceCeilings(ceilings=entries)))
    engine.ceilings = ceilings
