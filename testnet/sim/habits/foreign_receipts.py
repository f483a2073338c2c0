"""A clique that has signed for everything: whoever holds a blob is told that others hold it, or have lost it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import trio

from crypto.keys import SEED_BYTES, SigningKey
from p2pnode.protocols.page_records import make_holder_record, page_name
from p2pnode.protocols.receipts import shard_set
from p2pnode.protocols.retractions import make_retraction
from p2pnode.seams import Stream
from testnet.sim.habits.bending import MESSAGES, PEER_TROUBLE, BadHabit, Spoken
from testnet.sim.machine import NodeParts
from testnet.sim.world import World
from wire import limits
from wire.codec import decode
from wire.ids import Digest, PeerId, PublicKey, ShardIndex
from wire.messages import Certify, ExchangePage, PageExchanged
from wire.records import Certificate, Envelope, HolderRecord, Lease, RecordBundle, ShardSet
from wire.signed import Signed

SYNC = "sync"
SPEAK_EVERY_S = 8.0
STRANGERS = 3
"""Keys that nobody runs a node with, beside the peer's own."""

PAGES_KEPT = 8
"""Pages of which it knows enough to speak of them."""

FAR_ABOVE = 2**40
"""Numbers that no honest node has reached, so that what is signed with them would be the newest."""

NOTHING = RecordBundle(certificates=(), holders=(), retractions=())


@dataclass(frozen=True, slots=True)
class _Page:
    """A page that others hold pairs of."""

    name: Digest
    lease: Signed[Lease]
    certificate: Certificate

    def all_shards(self) -> tuple[ShardSet, ...]:
        """Return every shard of every blob of the page, as many as one batch may promise."""
        count = len(self.certificate.page.blob_ids)
        most = min(self.lease.record.n, limits.RECEIPT_BATCH_MAX // count)
        return tuple(shard_set(ShardIndex(shard), range(count), blob_count=count) for shard in range(most))


class ForeignReceipts(BadHabit):
    """Brings receipts and retractions for all shards of what others hold, its own, of strangers, and forged ones."""

    name: ClassVar[str] = "foreign-receipts"

    def __init__(self) -> None:
        """Nothing was signed yet."""
        super().__init__()
        self._pages: dict[Digest, _Page] = {}
        self._number = FAR_ABOVE
        self.ways: tuple[Callable[[_Page], RecordBundle], ...] = (
            self._strangers_hold_all,
            self._we_hold_all,
            self._strangers_have_lost_all,
            self._we_have_lost_all,
            self._holders_have_lost_all,
            self._holders_hold_all,
        )

    # ------------------------------------------------------------------ what it hears

    def hear_asked(self, peer_id: PeerId, asked: Spoken) -> None:
        """Learn from certificates what others hold."""
        del peer_id
        if isinstance(asked.message, Certify) and len(self._pages) < PAGES_KEPT:
            certificate = decode(asked.message.certificate.body, Certificate, bytes_max=limits.RECORD_BYTES_MAX)
            lease = decode(certificate.lease.body, Lease, bytes_max=limits.RECORD_BYTES_MAX)
            name = page_name(certificate.lease.signer, lease.target, certificate.page.page_index)
            self._pages[name] = _Page(name, Signed(lease, certificate.lease), certificate)

    async def ask(self, stream: Stream, asked: Spoken) -> Spoken:
        """Keep it to ourselves when our node takes back what we signed."""
        del stream
        match asked.message:
            case ExchangePage() as message:
                return Spoken(replace(message, records=self._without_our_retractions(message.records)))
            case _:
                return asked

    async def answer(self, stream: Stream, asked: Spoken, answer: Spoken) -> Spoken | None:
        """As `ask`."""
        del stream, asked
        match answer.message:
            case PageExchanged() as message:
                return Spoken(replace(message, records=self._without_our_retractions(message.records)))
            case _:
                return answer

    def _without_our_retractions(self, bundle: RecordBundle) -> RecordBundle:
        others = tuple(each for each in bundle.retractions if each.signer != self.parts.identity.public)
        return replace(bundle, retractions=others)

    # ------------------------------------------------------------------ what it says

    async def run(self, parts: NodeParts, world: World) -> None:
        """Speak of one page after the other to everybody, for ever."""
        del world
        seeds = [self.rng.randbytes(SEED_BYTES) for _ in range(STRANGERS)]
        self._strangers = [SigningKey(seed) for seed in seeds]
        while True:
            await parts.clock.sleep(SPEAK_EVERY_S)
            if self._pages:
                page = self._pages[self.rng.choice(sorted(self._pages))]
                way = self.rng.choice(self.ways)
                await self._push(page, way(page), way.__name__.strip("_").replace("_", " "))

    async def _push(self, page: _Page, bundle: RecordBundle, misdeed: str) -> None:
        requester = self.requester()
        question = ExchangePage(page=page.name, has=(), records=bundle)
        try:
            for peer_id in self.peers():
                try:
                    await requester.request(peer_id, self.protocols[SYNC], question, expect=MESSAGES)
                except PEER_TROUBLE:
                    continue
                self.did(misdeed)
        finally:
            with trio.CancelScope(shield=True):
                await requester.aclose()

    def _strangers_hold_all(self, page: _Page) -> RecordBundle:
        return replace(NOTHING, holders=tuple(self._holding(page, key) for key in self._strangers))

    def _we_hold_all(self, page: _Page) -> RecordBundle:
        return replace(NOTHING, holders=(self._holding(page, self.parts.identity),))

    def _holders_hold_all(self, page: _Page) -> RecordBundle:
        """Let it look as if those who hold one pair had signed for all; the signatures are ours."""
        ours = self._holding(page, self.parts.identity)
        batches = [replace(ours.holder.batch, signer=signer) for signer in self._holders(page)]
        return replace(NOTHING, holders=tuple(_with_batch(ours, batch) for batch in batches))

    def _strangers_have_lost_all(self, page: _Page) -> RecordBundle:
        return replace(NOTHING, retractions=self._losing(page, self._strangers[0]))

    def _we_have_lost_all(self, page: _Page) -> RecordBundle:
        """Sign for what others hold and retract it at once: but for ourselves that changes nothing."""
        holders = (self._holding(page, self.parts.identity),)
        return replace(NOTHING, holders=holders, retractions=self._losing(page, self.parts.identity))

    def _holders_have_lost_all(self, page: _Page) -> RecordBundle:
        """Let it look as if the holders had retracted; the signatures are ours."""
        ours = self._losing(page, self.parts.identity)
        forged = tuple(replace(each, signer=signer) for signer in self._holders(page) for each in ours)
        return replace(NOTHING, retractions=forged[: limits.RETRACTIONS_PER_MESSAGE_MAX])

    def _holders(self, page: _Page) -> list[PublicKey]:
        signers = {each.batch.signer for each in page.certificate.holders}
        return sorted(signers - {PublicKey(self.parts.identity.public)})

    def _holding(self, page: _Page, key: SigningKey) -> HolderRecord:
        self._number += 1
        group, sets, now = page.certificate.page, page.all_shards(), self.wall_seconds()
        return make_holder_record(
            key, page.lease, group, sets, network=self.network_name, sequence=self._number, time=now
        ).record

    def _losing(self, page: _Page, key: SigningKey) -> tuple[Envelope, ...]:
        """Retract all shards of the first blob but those that this key has a receipt for in the certificate."""
        self._number += 1
        holders = page.certificate.holders
        own = {each.shard for held in holders if held.batch.signer == key.public for each in held.shard_sets}
        pairs = [(page.certificate.page.blob_ids[0], ShardIndex(shard)) for shard in range(page.lease.record.n)]
        signed = [
            make_retraction(
                key, pair, network=self.network_name, sequence=self._number, time=self.wall_seconds()
            ).envelope
            for pair in pairs
            if pair[1] not in own
        ]
        return tuple(signed)


def _with_batch(record: HolderRecord, batch: Envelope) -> HolderRecord:
    return replace(record, holder=replace(record.holder, batch=batch))
