"""Once healed, every holder of a page knows every receipt and retraction of it that any reachable holder knows.

Read from the disks: the record files of each node, grouped by page. A holder has a receipt that was not retracted.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from p2pnode.protocols.page_records import PageRecords, named_holder
from p2pnode.storage.names import RECORDS_DIRECTORY
from p2pnode.storage.recordfile import kept, read_record
from testnet.sim.judges.judgement import JudgementError
from testnet.sim.machine import Machine
from testnet.sim.world import World
from wire.ids import BlobId, Digest
from wire.records import Certificate, Envelope, HolderRecord, Lease, RecordBundle, Retraction

NAME = "receipts-known"

BOUND_S = 900.0
"""Virtual time after healing within which all must know: connections come back, and news goes three ways at a time."""

_POLL_S = 5.0


async def demand_receipts_known(world: World, names: Sequence[str]) -> int:
    """Wait until these nodes are in step. Returns how many pages were compared. Raises `JudgementError`."""
    with trio.move_on_after(BOUND_S):
        while _out_of_step(world, names) is not None:  # noqa: ASYNC110 - what lies on disks has no event
            await trio.sleep(_POLL_S)
    found = _out_of_step(world, names)
    if found is not None:
        node, blob_id, count = found
        what = f"{count} records of receipts are not known to a holder {BOUND_S:.0f} s after all was healed"
        raise JudgementError(NAME, what, node=node, subject=blob_id.text())
    return len(_pages(world.machines[names[0]]))


def _out_of_step(world: World, names: Sequence[str]) -> tuple[str, BlobId, int] | None:
    """Return a node that does not know all, a blob of the page, and how many records it lacks."""
    known = {name: _pages(world.machines[name]) for name in names}
    everything: dict[Digest, PageRecords] = {}
    for pages in known.values():
        for page, records in pages.items():
            everything[page] = everything.get(page, PageRecords()).joined(records)
    for page, records in sorted(everything.items()):
        wanted = set(records.chosen().names())
        committee = records.receipt_set().committee()
        for name in names:
            lacks = wanted - set(known[name].get(page, PageRecords()).names())
            if lacks and world.machines[name].peer_id in committee:
                return name, min(blob_id for _, group in records.pages() for blob_id in group.blob_ids), len(lacks)
    return None


def _pages(machine: Machine) -> dict[Digest, PageRecords]:
    """Return what the record files of a machine say, page by page."""
    pages: dict[Digest, PageRecords] = {}
    blobs: dict[BlobId, set[Digest]] = {}
    retractions = []
    for record in _records(machine):
        if isinstance(record, RecordBundle):
            retractions += [kept(each, Retraction) for each in record.retractions]
            continue
        if isinstance(record, HolderRecord):
            one = PageRecords(holders=(named_holder(record, kept(record.lease, Lease)),))
        else:
            one = PageRecords(certificates=(kept(record, Certificate),))
        for page, group in one.pages():
            pages[page] = pages.get(page, PageRecords()).joined(one)
            for blob_id in group.blob_ids:
                blobs.setdefault(blob_id, set()).add(page)
    for each in retractions:
        for page in blobs.get(each.record.blob_id, ()):
            pages[page] = pages[page].joined(PageRecords(retractions=(each,)))
    return pages


def own_retractions(machine: Machine) -> int:
    """Return how many of its own receipts a machine has taken back, as its disk tells."""
    own = machine.peer_id
    bundles = [each for each in _records(machine) if isinstance(each, RecordBundle)]
    return sum(kept(each, Retraction).signer_peer == own for bundle in bundles for each in bundle.retractions)


def _records(machine: Machine) -> list[Envelope | HolderRecord | RecordBundle]:
    files = machine.files
    found = []
    for prefix in files.names(RECORDS_DIRECTORY):
        directory = f"{RECORDS_DIRECTORY}/{prefix}"
        for name in files.names(directory):
            record = read_record(files.read(f"{directory}/{name}")) if name.endswith(".rec") else None
            if isinstance(record, Envelope | HolderRecord | RecordBundle):
                found.append(record)
    return found
