"""The tables of the set of receipts. All can be rebuilt from the record files, as the others can."""

from __future__ import annotations

from p2pnode.storage.rows import Table

PAGES = Table("pages", (("page", "BLOB"), ("state", "BLOB"), ("committee", "BLOB")), 1)
"""A digest over the names of a page's records, and who has a receipt of it that was not retracted."""

PAGE_BLOBS = Table("page_blobs", (("page", "BLOB"), ("blob_id", "BLOB")), 2)
PAGE_CERTIFICATES = Table("page_certificates", (("page", "BLOB"), ("certificate", "BLOB")), 2)
HOLDER_RECORDS = Table("holder_records", (("record", "BLOB"), ("page", "BLOB"), ("lease_end", "BLOB")), 1)
RETRACTIONS = Table(
    "retractions",
    (
        ("blob_id", "BLOB"),
        ("shard", "INTEGER"),
        ("signer", "BLOB"),
        ("record", "BLOB"),
        ("sequence", "BLOB"),
        ("kept_until", "BLOB"),
        ("file", "BLOB"),
        ("envelope", "BLOB"),
    ),
    3,
)
"""The last retraction of each signer for each pair."""

RETRACTION_FILES = Table("retraction_files", (("file", "BLOB"), ("kept_until", "BLOB")), 1)

TOLD_LOSSES = Table("told_losses", (("blob_id", "BLOB"), ("shard", "INTEGER")), 2)
"""Lost pairs that we have retracted since they were lost."""

RECEIPT_TABLES = (TOLD_LOSSES, PAGES, PAGE_BLOBS, PAGE_CERTIFICATES, HOLDER_RECORDS, RETRACTIONS, RETRACTION_FILES)

RECEIPT_INDEXES = (
    "CREATE INDEX page_blobs_by_blob ON page_blobs (blob_id)",
    "CREATE INDEX page_certificates_by_certificate ON page_certificates (certificate)",
    "CREATE INDEX holder_records_by_page ON holder_records (page)",
    "CREATE INDEX holder_records_by_end ON holder_records (lease_end)",
    "CREATE INDEX retractions_by_file ON retractions (file)",
    "CREATE INDEX retraction_files_by_end ON retraction_files (kept_until)",
)
