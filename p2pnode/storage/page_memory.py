"""Pages as they were read last, so that the next question about one does not read and decode its records again.

The index says which records a page has; a record's name is a hash over it. So nothing here can be out of date: what the
index no longer names is not looked up, and what it names anew is read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from p2pnode.protocols.page_records import NamedHolder, PageRecords
from wire.ids import Digest
from wire.records import Certificate, Retraction
from wire.signed import Signed

PAGES_MAX = 1_024
"""Pages that are remembered."""

BYTES_MAX = 2**20
"""Bytes of the remembered records as they are signed; decoded they take some ten times as much."""

_ENVELOPE_BYTES = 200
"""Key and signature, and the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPage:
    """Every record of a page that the index named, by its name, and what is chosen of them."""

    certificates: Mapping[Digest, Signed[Certificate]]
    holders: Mapping[Digest, NamedHolder]
    retractions: Mapping[Digest, Signed[Retraction]]
    chosen: PageRecords

    def has(self, *, certificates: Iterable[Digest], holders: Iterable[Digest], retractions: Iterable[Digest]) -> bool:
        """Tell whether these are the names of all records."""
        return (
            self.certificates.keys() == set(certificates)
            and self.holders.keys() == set(holders)
            and self.retractions.keys() == set(retractions)
        )

    def beside(self, written: PageRecords) -> ReadPage:
        """Return the same with certificates and holder records that were just written; nothing is chosen of those."""
        if not written.certificates and not written.holders:
            return self
        return ReadPage(
            certificates={**self.certificates, **{each.digest: each for each in written.certificates}},
            holders={**self.holders, **{each.name: each for each in written.holders}},
            retractions=self.retractions,
            chosen=self.chosen,
        )

    def byte_count(self) -> int:
        """Return how many bytes the records have, about."""
        envelopes = [each.envelope for each in self.certificates.values()]
        envelopes += [each.envelope for each in self.retractions.values()]
        for holder in self.holders.values():
            envelopes += [holder.lease.envelope, holder.record.holder.batch]
        return sum(_ENVELOPE_BYTES + len(each.body) for each in envelopes)


NOTHING_READ = ReadPage(certificates={}, holders={}, retractions={}, chosen=PageRecords())


class PageMemory:
    """The pages that were read last. Not safe for several threads at once."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._pages: OrderedDict[Digest, ReadPage] = OrderedDict()
        self._byte_count = 0

    def get(self, page: Digest) -> ReadPage:
        """Return what was read of a page last, with other records perhaps than it has now."""
        found = self._pages.get(page, NOTHING_READ)
        if found is not NOTHING_READ:
            self._pages.move_to_end(page)
        return found

    def put(self, page: Digest, read: ReadPage) -> None:
        """Remember a page, and forget those that were asked for longest ago to make room."""
        self.forget(page)
        self._pages[page] = read
        self._byte_count += read.byte_count()
        while len(self._pages) > PAGES_MAX or self._byte_count > BYTES_MAX:
            self.forget(next(iter(self._pages)))

    def forget(self, page: Digest) -> None:
        """Remember a page no longer."""
        old = self._pages.pop(page, NOTHING_READ)
        self._byte_count -= old.byte_count()
