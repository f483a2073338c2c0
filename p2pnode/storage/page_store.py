"""The set of receipts on disk: records of pages come, are merged with those kept, and go. Runs in worker threads.

Every record has a file, or stands in one with others, written before the index. What a page says together is computed
from its files when it changes; its row keeps the result, and the digests that peers compare follow the rows.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crypto.hashing import tagged_hash
from p2pnode.errors import DiskFullError, LeaseError
from p2pnode.protocols.page_digests import CommitteeDigests, committee_tags, peer_tag, tags_of
from p2pnode.protocols.page_records import NamedHolder, PageRecords
from p2pnode.protocols.receipt_set import View
from p2pnode.storage import index, lease_index, page_index
from p2pnode.storage.engine import Engine
from p2pnode.storage.index import PairRow, PairState
from p2pnode.storage.names import record_name
from p2pnode.storage.page_reading import NOTHING_WRITTEN, load_page
from p2pnode.storage.receipt_tables import PAGES, TOLD_LOSSES
from p2pnode.storage.recordfile import record_bytes
from p2pnode.storage.rows import Row
from wire import limits
from wire.codec import encode
from wire.ids import BlobId, Digest, PageDigests, PeerId, PublicKey, ShardIndex
from wire.messages import PageState
from wire.records import RecordBundle, Retraction
from wire.signed import Signed

CHANGED_PAGES_MAX = 4_096
"""Pages that wait to be told to some of their committee; what is beyond, the next regular sync finds."""

LOSSES_MAX = 256
"""Lost pairs that are retracted in one go: each costs a signature, all together one file."""

COLLECT_RECORDS_MAX = 256
"""Expired records forgotten in one call: each is a file to remove."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OurPairs:
    """What we have to do with some blobs."""

    held: frozenset[tuple[BlobId, ShardIndex]]
    owners: frozenset[PublicKey]
    """Who has leases on pairs of ours; whether a pair is intact does not matter here."""


# ------------------------------------------------------------------------------------------- pages that change


@contextlib.contextmanager
def changing(
    engine: Engine, pages: Sequence[Digest], written: PageRecords = NOTHING_WRITTEN
) -> Iterator[sqlite3.Connection]:
    """One transaction that changes records of these pages; rows and digests follow. Call it under `mutation`.

    `written` are new records, which need not be read to see what they change.
    """
    with engine.database.writing() as connection:
        before = [PAGES.row(connection, page) for page in pages]
        yield connection
        after = [_refresh(engine, connection, page, written) for page in pages]
    for page, old, new in zip(pages, before, after, strict=True):
        _follow(engine, page, old, new)


def _refresh(
    engine: Engine, connection: sqlite3.Connection, page: Digest, written: PageRecords = NOTHING_WRITTEN
) -> Row | None:
    records = load_page(engine, connection, page, written)
    if not records.certificates and not records.holders:
        page_index.forget_page(connection, page)
        return None
    # Who has retracted stays in it: the retraction is news that only this signer has, and has to tell.
    row: Row = (bytes(page), records.state(), committee_tags(records.receipt_set().signers()))
    PAGES.put(connection, row)
    return row


def _follow(engine: Engine, page: Digest, old: Row | None, new: Row | None) -> None:
    """Let the digests and the list of what changed follow a row."""
    if old == new:
        return
    if engine.shared_pages is not None:
        for row, flip in ((old, engine.shared_pages.remove), (new, engine.shared_pages.put)):
            if row is not None:
                flip(page, *_cells(row))
    if new is not None and len(engine.changed_pages) < CHANGED_PAGES_MAX:
        engine.changed_pages[page] = _cells(new)[1]


def refresh_missing(engine: Engine) -> None:
    """Make the rows of pages that have none, after the index was rebuilt or files were found to be gone."""
    engine.shared_pages = None
    with engine.database.reading() as connection:
        pages = page_index.pages_without_row(connection)
    for start in range(0, len(pages), COLLECT_RECORDS_MAX):
        with engine.database.writing() as connection:
            for page in pages[start : start + COLLECT_RECORDS_MAX]:
                _refresh(engine, connection, page)


def take_changed(engine: Engine) -> list[tuple[Digest, bytes]]:
    """Return the pages that changed since the last call, each with its committee."""
    with engine.mutation:
        found = sorted(engine.changed_pages.items())
        engine.changed_pages.clear()
        return found


# -------------------------------------------------------------------------------------------------- comparing


def _digests(engine: Engine, own: PeerId) -> CommitteeDigests:
    """Return the digests of all that we share; made from the rows once. Call it under `mutation`."""
    if engine.shared_pages is None:
        digests = CommitteeDigests(own)
        with engine.database.reading() as connection:
            for row in PAGES.each(connection):
                assert isinstance(row[0], bytes)
                digests.put(Digest(row[0]), *_cells(row))
        engine.shared_pages = digests
    return engine.shared_pages


def page_digests(engine: Engine, own: PeerId, peer_id: PeerId) -> PageDigests:
    """Return the digests of what we share with a peer."""
    with engine.mutation:
        return _digests(engine, own).digests(peer_id)


def sharing(engine: Engine, own: PeerId, peers: Sequence[PeerId]) -> list[PeerId]:
    """Return those of these peers that share a page with us."""
    with engine.mutation:
        digests = _digests(engine, own)
        return [each for each in peers if digests.shares_with(each)]


def pages_shared(
    engine: Engine, own: PeerId, peer_id: PeerId, buckets: Sequence[int], after: Digest | None, count_max: int
) -> tuple[list[PageState], bool]:
    """Return the next pages, in these buckets, that we share with a peer, and whether there are more."""
    wanted = {peer_tag(own), peer_tag(peer_id)}
    found: list[PageState] = []
    with engine.database.reading() as connection:
        for bucket in sorted(set(buckets)):
            low, high = bytes([bucket]), bytes([bucket]) + b"\xff" * Digest.length
            where = "WHERE page BETWEEN ? AND ? AND page > ? ORDER BY page"
            for row in PAGES.each(connection, where, (low, high, after or b"")):
                assert isinstance(row[0], bytes)
                state, committee = _cells(row)
                if wanted <= set(tags_of(committee)):
                    if len(found) == count_max:
                        return found, True
                    found.append(PageState(page=Digest(row[0]), state=state))
    return found, False


def records_of_page(engine: Engine, page: Digest) -> PageRecords:
    """Return what is kept of a page."""
    with engine.database.reading() as connection:
        return load_page(engine, connection, page)


def records_of_pages(engine: Engine, blob_id: BlobId) -> PageRecords:
    """Return what is kept of all pages that a blob is in."""
    found = PageRecords()
    with engine.database.reading() as connection:
        for page in page_index.pages_of_blob(connection, blob_id):
            found = found.joined(load_page(engine, connection, page))
    return found


def records_of_blob(engine: Engine, blob_id: BlobId) -> PageRecords:
    """Return holder records and retractions of a blob's pages; the certificates are asked for apart."""
    found = records_of_pages(engine, blob_id)
    retractions = tuple(each for each in found.retractions if each.record.blob_id == blob_id)
    return PageRecords(holders=found.holders, retractions=retractions)


def our_pairs(engine: Engine, blob_ids: Sequence[BlobId]) -> OurPairs:
    """Return which pairs of these blobs are held here, and for whom."""
    held: set[tuple[BlobId, ShardIndex]] = set()
    owners: set[PublicKey] = set()
    with engine.database.reading() as connection:
        for blob_id in dict.fromkeys(blob_ids):
            for row in index.pairs_of_blob(connection, blob_id):
                if row.state is not PairState.LOST:  # A renewal takes it back out of the trash.
                    held.add((row.blob_id, row.shard))
                owners |= {lease.signer for lease in lease_index.leases_of_pair(connection, row)}
    return OurPairs(held=frozenset(held), owners=frozenset(owners))


def _cells(row: Row) -> tuple[bytes, bytes]:
    _, state, committee = row
    assert isinstance(state, bytes)
    assert isinstance(committee, bytes)
    return state, committee


# --------------------------------------------------------------------------------------------------- changing


def merge(engine: Engine, page: Digest, new: PageRecords, view: View) -> PageRecords:
    """Keep what is needed of these checked holder records and retractions of a page, beside what is kept.

    Returns those of the new ones that are kept. Certificates go through `leasing.certify`.
    """
    with engine.writing_disk(), engine.mutation:
        with engine.database.reading() as connection:
            before = load_page(engine, connection, page)
        # Whoever has a place keeps it behind those that have one in today's view: membership changes, records stay.
        ranks = {each.signer: len(view.ranks) for each in before.holders} | dict(view.ranks)
        chosen = before.joined(new).chosen(View(audited=view.audited, ranks=ranks))
        known = set(before.names())
        holders = tuple(each for each in chosen.holders if each.name not in known)
        retractions = tuple(each for each in chosen.retractions if each.digest not in known)
        kept_names = set(chosen.names())
        dropped = [each.name for each in before.holders if each.name not in kept_names]
        if holders or retractions or dropped:
            _write(engine, page, holders, retractions, dropped)
    return PageRecords(holders=holders, retractions=retractions)


def _write(
    engine: Engine,
    page: Digest,
    holders: Sequence[NamedHolder],
    retractions: Sequence[Signed[Retraction]],
    dropped: Sequence[Digest],
) -> None:
    for holder in holders:
        engine.write_durably(record_name(holder.name), record_bytes(holder.record))
    files = _write_retractions(engine, retractions)
    try:
        with changing(engine, [page], PageRecords(holders=tuple(holders))) as connection:
            for holder in holders:
                page_index.note_holder(connection, holder)
            for name in dropped:
                page_index.forget_holder(connection, name)
            for file, part in files:
                page_index.note_retractions(connection, file, part, wall=engine.clock.wall())
    except (DiskFullError, LeaseError):
        for name in [*(holder.name for holder in holders), *(file for file, _ in files)]:
            engine.discard(record_name(name))
        raise
    for name in dropped:
        engine.discard(record_name(name))


def _write_retractions(
    engine: Engine, retractions: Sequence[Signed[Retraction]]
) -> list[tuple[Digest, Sequence[Signed[Retraction]]]]:
    """Write retractions, many to a file; returns each file's name with what is in it."""
    files = []
    for start in range(0, len(retractions), limits.RETRACTIONS_PER_MESSAGE_MAX):
        part = retractions[start : start + limits.RETRACTIONS_PER_MESSAGE_MAX]
        bundle = RecordBundle(certificates=(), holders=(), retractions=tuple(each.envelope for each in part))
        name = bundle_name(bundle)
        engine.write_durably(record_name(name), record_bytes(bundle))
        files.append((name, part))
    return files


def bundle_name(bundle: RecordBundle) -> Digest:
    """Return the name under which retractions are kept together."""
    return Digest(tagged_hash(b"p2pnode/retraction file", encode(bundle)))


def _is_gone(engine: Engine, connection: sqlite3.Connection, row: PairRow | None) -> bool:
    """Tell whether a pair cannot be here: an index that was lost does not know what is in a directory that is away."""
    if row is None:
        return not engine.away
    return row.state is PairState.LOST or (
        row.state is PairState.TRASHED and index.is_inconsistent(connection, row.blob_id)
    )


def retract(engine: Engine, retractions: Sequence[Signed[Retraction]]) -> list[Signed[Retraction]]:
    """Keep our own retractions, durably, of those pairs that are still not held. Returns these.

    A pair that was stored anew meanwhile keeps its receipts: its row is asked under the lock that storing takes.
    """
    with engine.writing_disk(), engine.mutation:
        with engine.database.reading() as connection:
            rows = [(each, index.pair(connection, each.record.blob_id, each.record.shard)) for each in retractions]
            ended = [each for each, row in rows if _is_gone(engine, connection, row)]
            blobs = dict.fromkeys(each.record.blob_id for each in ended)
            pages = dict.fromkeys(page for blob_id in blobs for page in page_index.pages_of_blob(connection, blob_id))
        if not ended:
            return []
        files = _write_retractions(engine, ended)
        try:
            with changing(engine, list(pages)) as connection:
                for file, part in files:
                    page_index.note_retractions(connection, file, part, wall=engine.clock.wall())
                for each in ended:
                    TOLD_LOSSES.put(connection, (bytes(each.record.blob_id), each.record.shard))
        except DiskFullError:
            for file, _ in files:
                engine.discard(record_name(file))
            raise
    return ended


def untold_losses(engine: Engine) -> list[tuple[BlobId, ShardIndex]]:
    """Return lost pairs that were not retracted since they were lost, at most LOSSES_MAX."""
    engine.has_untold_losses = False  # First: what is lost from now on sets it again.
    with engine.database.reading() as connection:
        found = [(row.blob_id, row.shard) for row in index.untold_losses(connection, LOSSES_MAX)]
    engine.has_untold_losses = engine.has_untold_losses or bool(found)
    return found


def retracted(
    engine: Engine, signer: PublicKey, pairs: Sequence[tuple[BlobId, ShardIndex]]
) -> dict[tuple[BlobId, ShardIndex], Signed[Retraction]]:
    """Return the retraction of one signer for each of these pairs that it has retracted."""
    wanted = set(pairs)
    with engine.database.reading() as connection:
        kept_here = page_index.retractions_of(connection, dict.fromkeys(blob_id for blob_id, _ in pairs))
    own = [each for each in kept_here if each.signer == signer]
    by_pair = {(each.record.blob_id, ShardIndex(each.record.shard)): each for each in own}
    return {pair: each for pair, each in by_pair.items() if pair in wanted}


def collect_records(engine: Engine, now: float) -> int:
    """Forget holder records whose lease has ended, and retractions that end nothing any more; returns how many."""
    before = min(max(0, math.ceil(now)), limits.UINT64_MAX)
    with engine.writing_disk(), engine.mutation:
        with engine.database.reading() as connection:
            expired = page_index.expired_holders(connection, before=before, count_max=COLLECT_RECORDS_MAX)
            files = page_index.unused_retraction_files(connection, before=before, count_max=COLLECT_RECORDS_MAX)
            pages = {page for _, page in expired}
            pages.update(page for file in files for page in page_index.pages_of_retractions(connection, file))
        if not expired and not files:
            return 0
        with changing(engine, sorted(pages)) as connection:
            for record, _ in expired:
                page_index.forget_holder(connection, record)
            for file in files:
                page_index.forget_retractions(connection, file)
        for name in [*(record for record, _ in expired), *files]:
            engine.discard(record_name(name))
    return len(expired) + len(files)
