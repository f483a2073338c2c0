"""What is known of members, kept over a restart, so that a node finds its peers again without its bootstrap node."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from crypto.peer_id import public_key_of
from p2pnode.membership.contact import Contact
from p2pnode.storage.engine import Engine
from p2pnode.storage.rows import Cell, Row, uint64_cell, uint64_of
from p2pnode.storage.schema import CONTACTS, MEMBERS, VETTING
from wire import limits
from wire.codec import decode, encode
from wire.ids import PeerId
from wire.records import Envelope, MemberRecord

_ENVELOPE_BYTES_MAX = limits.RECORD_BYTES_MAX + 1024

CONTACTS_KEPT_MAX = limits.MEMBERS_KEPT_MAX
"""Histories that are kept: as many as there may be members."""


def save_members(engine: Engine, envelopes: Sequence[Envelope], contacts: Sequence[Contact]) -> None:
    """Keep these records where they are newer than those kept, and these histories instead of those kept.

    Of what is too much the oldest goes, but nothing of an anchor. Raises as `SliverStore.save_members` says.
    """
    records = [(decode(each.body, MemberRecord, bytes_max=limits.RECORD_BYTES_MAX), each) for each in envelopes]
    with engine.writing_disk(), engine.database.writing() as connection:
        for contact in contacts:
            row = _contact_row(contact)
            if CONTACTS.row(connection, contact.peer_id) != row:
                CONTACTS.put(connection, row)
            passed = (bytes(contact.peer_id), contact.audits_passed)
            if contact.audits_passed and VETTING.row(connection, contact.peer_id) != passed:
                VETTING.put(connection, passed)
        for record, envelope in records:
            known = MEMBERS.row(connection, envelope.signer)
            if known is None or uint64_of(known[1]) < record.sequence:
                cells = (uint64_cell(record.sequence), uint64_cell(record.time), encode(envelope))
                MEMBERS.put(connection, (bytes(envelope.signer), *cells))
        _drop_oldest(connection)


def _drop_oldest(connection: sqlite3.Connection) -> None:
    too_many = connection.execute("SELECT count(*) FROM contacts").fetchone()[0] - CONTACTS_KEPT_MAX
    if too_many > 0:
        clause = "WHERE is_anchor = 0 ORDER BY seen_at, peer_id LIMIT ?"
        for row in CONTACTS.rows(connection, clause, (too_many,)):
            CONTACTS.delete(connection, row[0])
            VETTING.delete(connection, row[0])
    too_many = connection.execute("SELECT count(*) FROM members").fetchone()[0] - limits.MEMBERS_KEPT_MAX
    if too_many > 0:
        anchors = [_bytes(row[0]) for row in CONTACTS.rows(connection, "WHERE is_anchor = 1")]
        marks = ", ".join("?" * len(anchors))
        clause = f"WHERE signer NOT IN ({marks}) ORDER BY time, signer LIMIT ?"
        for row in MEMBERS.rows(connection, clause, (*map(public_key_of, anchors), too_many)):
            MEMBERS.delete(connection, row[0])


def load_members(engine: Engine) -> list[Envelope]:
    """Return the records that are kept, in the order of their signers' keys."""
    with engine.database.reading() as connection:
        rows = MEMBERS.rows(connection, "ORDER BY signer")
    return [decode(_bytes(row[3]), Envelope, bytes_max=_ENVELOPE_BYTES_MAX) for row in rows]


def load_contacts(engine: Engine) -> list[Contact]:
    """Return the histories that are kept, in the order of peer ids."""
    with engine.database.reading() as connection:
        passed = {_bytes(row[0]): row[1] for row in VETTING.rows(connection, "")}
        rows = CONTACTS.rows(connection, "ORDER BY peer_id")
    return [_contact_of(row, audits_passed=passed.get(_bytes(row[0]), 0)) for row in rows]


def _contact_row(contact: Contact) -> Row:
    times = (uint64_cell(contact.met_at), uint64_cell(contact.seen_at))
    return (bytes(contact.peer_id), *times, int(contact.is_anchor), "\n".join(contact.addresses))


def _contact_of(row: Row, *, audits_passed: Cell) -> Contact:
    assert isinstance(audits_passed, int), "only numbers are written to this column"
    return Contact(
        peer_id=PeerId(_bytes(row[0])),
        met_at=uint64_of(row[1]),
        seen_at=uint64_of(row[2]),
        is_anchor=bool(row[3]),
        audits_passed=audits_passed,
        addresses=tuple(str(row[4]).split("\n")) if row[4] else (),
    )


def _bytes(cell: Cell) -> bytes:
    assert isinstance(cell, bytes), "only bytes are written to this column"
    return cell
