"""The tables of the index: their columns, how they are made, and how a damaged or newer index is recognised."""

from __future__ import annotations

import sqlite3

from p2pnode.errors import HomeError
from p2pnode.storage.database import DamagedIndexError
from p2pnode.storage.receipt_tables import RECEIPT_INDEXES, RECEIPT_TABLES
from p2pnode.storage.rows import Table

SCHEMA_VERSION = 8
"""1 knew no trash and no tombstones, 2 no tallies of owners, 3 no evidence, 4 no successions, 5 no audit receipts, 6 no
inconsistent blobs, 7 audit receipts of one question each.
Earlier ones are built anew from the files."""

META = Table("meta", (("name", "TEXT"), ("value", "INTEGER")), 1)
PAIRS = Table(
    "pairs",
    (
        ("blob_id", "BLOB"),
        ("shard", "INTEGER"),
        ("n", "INTEGER"),
        ("state", "INTEGER"),
        ("file_bytes", "INTEGER"),
        ("provisional_until", "BLOB"),
        ("final_until", "BLOB"),
        ("trashed_at", "BLOB"),
    ),
    2,
)
METADATA = Table("metadata", (("blob_id", "BLOB"), ("record", "BLOB")), 1)
LEASES = Table("leases", (("lease", "BLOB"), ("envelope", "BLOB"), ("target", "BLOB"), ("owner", "BLOB")), 1)
PAIR_LEASES = Table(
    "pair_leases", (("blob_id", "BLOB"), ("shard", "INTEGER"), ("lease", "BLOB"), ("is_effective", "INTEGER")), 3
)
OWNER_TALLIES = Table("owner_tallies", (("owner", "BLOB"), ("bytes", "INTEGER")), 1)
LEASE_RECORDS = Table("lease_records", (("record", "BLOB"), ("lease", "BLOB")), 1)
CERTIFICATES = Table(
    "certificates",
    (
        ("certificate", "BLOB"),
        ("lease", "BLOB"),
        ("page_index", "INTEGER"),
        ("lease_end", "BLOB"),
        ("holders", "INTEGER"),
    ),
    1,
)
TOMBSTONES = Table(
    "tombstones",
    (("target", "BLOB"), ("owner", "BLOB"), ("tombstone", "BLOB"), ("envelope", "BLOB"), ("kept_until", "BLOB")),
    2,
)
SUCCESSIONS = Table(
    "successions",
    (("predecessor", "BLOB"), ("successor", "BLOB"), ("record", "BLOB"), ("envelope", "BLOB"), ("kept_until", "BLOB")),
    1,
)
CERTIFICATE_BLOBS = Table("certificate_blobs", (("blob_id", "BLOB"), ("certificate", "BLOB")), 2)
MEMBERS = Table("members", (("signer", "BLOB"), ("sequence", "BLOB"), ("time", "BLOB"), ("envelope", "BLOB")), 1)
CONTACTS = Table(
    "contacts",
    (("peer_id", "BLOB"), ("met_at", "BLOB"), ("seen_at", "BLOB"), ("is_anchor", "INTEGER"), ("addresses", "TEXT")),
    1,
)
VETTING = Table("vetting", (("peer_id", "BLOB"), ("audits_passed", "INTEGER")), 1)
SCORES = Table("scores", (("peer_id", "BLOB"), ("passed", "INTEGER"), ("failed", "INTEGER"), ("streak", "INTEGER")), 1)
EVIDENCE = Table("evidence", (("name", "BLOB"), ("heard_at", "BLOB"), ("evidence", "BLOB")), 1)
AUDIT_RECEIPTS = Table(
    "audit_receipts",
    (("name", "BLOB"), ("time", "BLOB"), ("statement", "BLOB"), ("countersignature", "BLOB")),
    1,
)
INCONSISTENT = Table(
    "inconsistent", (("blob_id", "BLOB"), ("noted_at", "BLOB"), ("message", "BLOB"), ("symbols", "BLOB")), 1
)
COUNTERS = Table("counters", (("purpose", "TEXT"), ("value", "BLOB")), 1)

TABLES = (
    META,
    PAIRS,
    METADATA,
    LEASES,
    PAIR_LEASES,
    OWNER_TALLIES,
    LEASE_RECORDS,
    CERTIFICATES,
    CERTIFICATE_BLOBS,
    TOMBSTONES,
    SUCCESSIONS,
    MEMBERS,
    CONTACTS,
    VETTING,
    SCORES,
    EVIDENCE,
    AUDIT_RECEIPTS,
    INCONSISTENT,
    COUNTERS,
    *RECEIPT_TABLES,
)

_INDEXES = (
    "CREATE INDEX pairs_by_end ON pairs (final_until, provisional_until)",
    "CREATE INDEX pairs_by_state ON pairs (state, trashed_at)",
    "CREATE INDEX leases_by_target ON leases (target, owner)",
    "CREATE INDEX leases_by_owner ON leases (owner)",
    "CREATE INDEX successions_by_successor ON successions (successor)",
    "CREATE INDEX tombstones_by_record ON tombstones (tombstone)",
    "CREATE INDEX tombstones_by_end ON tombstones (kept_until)",
    "CREATE INDEX pair_leases_by_lease ON pair_leases (lease)",
    "CREATE INDEX lease_records_by_lease ON lease_records (lease)",
    "CREATE INDEX certificates_by_lease ON certificates (lease, page_index)",
    "CREATE INDEX certificate_blobs_by_certificate ON certificate_blobs (certificate)",
    *RECEIPT_INDEXES,
)

SCHEMA_ROW = "schema"


def create_or_check_schema(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty database. Raises `HomeError` when a newer program made them."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0]
    if not tables:
        for table in TABLES:
            connection.execute(table.create_sql())
        for statement in _INDEXES:
            connection.execute(statement)
        META.put(connection, (SCHEMA_ROW, SCHEMA_VERSION))
        return
    found = META.row(connection, SCHEMA_ROW)
    if found is None:
        message = "the index does not say which schema it has"
        raise DamagedIndexError(message)
    if isinstance(found[1], int) and found[1] < SCHEMA_VERSION:
        message = f"the index has schema version {found[1]}, an earlier one than {SCHEMA_VERSION}"
        raise DamagedIndexError(message)
    if found[1] != SCHEMA_VERSION:
        message = (
            f"the index has schema version {found[1]!s}, this program knows {SCHEMA_VERSION}:"
            " start the newer version of p2pnode that made it"
        )
        raise HomeError(message)


def check_every_row(connection: sqlite3.Connection) -> None:
    """Read every row of every table. Raises `DamagedIndexError` at the first that does not match its checksum."""
    for table in TABLES:
        for _ in table.each(connection):
            pass
