"""The names of files in the data directory. Pure.

    pairs/<first 2 hex digits of the blob id>/<blob id>-<shard>.pair
    pairs/<the same>/<blob id>-<shard>.pair.trash-<since when it is in the trash, in seconds since 1970>
    records/<first 2 hex digits of the digest>/<digest>.rec
    sequences.rec, index.db

A file goes to the trash by a rename within its directory, which no crash leaves half done: what is in the trash, and
since when, is still known when the index is lost.

At a million files each of the 256 directories has some four thousand. A file is written under its name with a
`.tmp-<number>` behind it, in the same directory, and then renamed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from wire.ids import BlobId, Digest, ShardIndex

PAIRS_DIRECTORY = "pairs"
RECORDS_DIRECTORY = "records"
SEQUENCES_NAME = "sequences.rec"

_PAIR_NAME = re.compile(r"([0-9a-f]{64})-(0|[1-9][0-9]{0,3})\.pair")
_TRASH_NAME = re.compile(r"(.+)\.trash-(0|[1-9][0-9]{0,19})")
_RECORD_NAME = re.compile(r"([0-9a-f]{64})\.rec")
_PREFIX = re.compile(r"[0-9a-f]{2}")
_TEMPORARY = re.compile(r"(.+)\.tmp-[0-9]+")


class PairKey(NamedTuple):
    """Which pair a file holds, as its name says."""

    blob_id: BlobId
    shard: ShardIndex


def pair_directory(blob_id: BlobId) -> str:
    """Return the directory of a blob's pair files."""
    return f"{PAIRS_DIRECTORY}/{blob_id.hex()[:2]}"


def pair_name(blob_id: BlobId, shard: int) -> str:
    """Return the name of a pair's file."""
    return f"{pair_directory(blob_id)}/{blob_id.hex()}-{shard}.pair"


def parse_pair_name(name: str) -> PairKey | None:
    """Return the pair that a name without its directory stands for, None when it is no pair's."""
    match = _PAIR_NAME.fullmatch(name)
    return None if match is None else PairKey(BlobId(bytes.fromhex(match[1])), ShardIndex(int(match[2])))


def trash_name(blob_id: BlobId, shard: int, trashed_at: int) -> str:
    """Return the name of a pair's file while it is in the trash."""
    return f"{pair_name(blob_id, shard)}.trash-{trashed_at}"


def parse_trash_name(name: str) -> tuple[PairKey, int] | None:
    """Return the pair that a name without its directory stands for, and since when it is in the trash; None else."""
    match = _TRASH_NAME.fullmatch(name)
    key = None if match is None else parse_pair_name(match[1])
    return None if match is None or key is None else (key, int(match[2]))


def record_directory(digest: Digest) -> str:
    """Return the directory of a record's file."""
    return f"{RECORDS_DIRECTORY}/{digest.hex()[:2]}"


def record_name(digest: Digest) -> str:
    """Return the name of a record's file."""
    return f"{record_directory(digest)}/{digest.hex()}.rec"


def parse_record_name(name: str) -> Digest | None:
    """Return the digest that a name without its directory stands for, None when it is no record's."""
    match = _RECORD_NAME.fullmatch(name)
    return None if match is None else Digest(bytes.fromhex(match[1]))


def directory_of(name: str) -> str:
    """Return the directory that a name stands in, "" for the root."""
    return name.rpartition("/")[0]


def temporary_name(name: str, number: int) -> str:
    """Return the name under which a file is written before it gets its own."""
    return f"{name}.tmp-{number}"


def finished_name(name: str) -> str:
    """Return the name that a file gets which is written under a temporary one; any other name as it is."""
    match = _TEMPORARY.fullmatch(name)
    return name if match is None else match[1]


def is_temporary(name: str) -> bool:
    """Tell whether a file was never finished."""
    return _TEMPORARY.fullmatch(name) is not None


def is_prefix(name: str) -> bool:
    """Tell whether a name is that of a directory below `pairs` or `records`."""
    return _PREFIX.fullmatch(name) is not None
