"""Commitments: signing one an epoch for all that is held here, answering for it, and keeping those of the others.

They travel with the evidence: what a node answers for, and what it is convicted of. A node answers for what it has
committed to in this life: whoever asks about an earlier one hears so, and asks on a receipt.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from p2pnode.errors import LocalStorageError, PeerFaultError
from p2pnode.membership.table import MemberTable
from p2pnode.protocols.commitments import (
    KEPT_EPOCHS,
    CommitGate,
    CommitmentBook,
    HeardCommitment,
    SecretSheet,
    check_reveal,
    epoch_of,
    make_commitment,
)
from p2pnode.protocols.entry_tree import EntryTree, Key
from p2pnode.protocols.refusal import RefusalError
from p2pnode.services.context import Context
from wire.challenges import Challenge
from wire.codec import encode
from wire.commitments import Commitment, Reveal
from wire.ids import Digest, PeerId
from wire.messages import RefusalCode
from wire.signed import Signed

log = logging.getLogger(__name__)

TOPIC = "evidence"

SEED_BYTES = 32

LOOKS_PER_EPOCH = 6
"""How often a node looks in an epoch whether it may sign for it: every ten minutes."""


REST_S = 1.0
"""Between two of the steps in which everything is read before the first commitment: a million pairs are 123 steps
of an eighth of a second of one processor each, in a worker, and two of the 120 minutes in which a node waits anyway."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """A commitment of ours with what is behind it."""

    signed: Signed[Commitment]
    tree: EntryTree
    sheet: SecretSheet


@dataclass(frozen=True, slots=True)
class AskedWith:
    """What a new challenge is made from."""

    number: int
    secret: Digest
    reveal: Reveal | None


class CommitmentService:
    """What this node commits to, and what it knows of the commitments of others."""

    def __init__(self, context: Context, table: MemberTable) -> None:
        """Nothing is signed before `run`."""
        profile = context.profile
        self._context = context
        self._table = table
        self._topic = context.names.topic(TOPIC)
        self._gate = CommitGate(epoch_s=profile.epoch_s, wait_s=profile.commit_after_s)
        self._book = CommitmentBook(network=context.network_name, epoch_s=profile.epoch_s)
        self._answered: list[_Answered] = []
        """Ours, the latest last; at most KEPT_EPOCHS."""
        self._tree: EntryTree | None = None
        """What was held when we looked last."""
        self._last = 0
        self._number = 0

    async def run(self) -> None:
        """Sign for each epoch, once that is certain to be the only time, until cancelled."""
        clock, profile = self._context.clock, self._context.profile
        pause_s = profile.commit_after_s
        while True:
            now, wall, asleep = clock.monotonic(), clock.wall(), clock.asleep()
            lead_s = self._table.clock_lead(now=now, wall=wall)
            epoch = self._gate.due(last=self._last, lead_s=lead_s, now=now, wall=wall, asleep=asleep)
            if epoch is not None:
                try:
                    await self._commit(epoch)
                except LocalStorageError as error:
                    log.warning("there is no commitment until the disk works again: %s", error)
            await self._look_ahead()
            await clock.sleep(max(0.0, pause_s - (clock.monotonic() - now)))
            pause_s = profile.epoch_s / LOOKS_PER_EPOCH

    async def _commit(self, epoch: int) -> None:
        context = self._context
        store = context.store.commitments
        self._last = max(self._last, await store.last_epoch())
        time = context.wall_seconds()  # Whatever was signed for before is looked at after this.
        if epoch <= self._last or epoch_of(time, epoch_s=context.profile.epoch_s) != epoch:
            return
        tree = await self._look()
        sheet = SecretSheet(context.rng.random_bytes(SEED_BYTES))
        await store.note_epoch(epoch)
        self._last = epoch
        signed = make_commitment(
            tree, epoch=epoch, time=time, secrets=sheet.root, key=context.identity, network=context.network_name
        )
        self._answered = [*self._answered, _Answered(signed, tree, sheet)][-KEPT_EPOCHS:]
        data = encode(signed.envelope)
        self.hear(data)  # Should anybody else sign with our key, we notice as all others do.
        await context.network.publish(self._topic, data)

    async def _look_ahead(self) -> None:
        """Read everything at a gentle rate while nothing may be signed yet, so that no commitment waits for it."""
        if self._tree is not None:
            return
        try:
            self._tree = await self._look_at_all(rest_s=REST_S)
        except LocalStorageError as error:
            log.warning("what is held is looked at when the disk works again: %s", error)

    async def _look(self) -> EntryTree:
        """Return the tree over all that is held: with what changed since the last look, or made anew."""
        store, offload = self._context.store.commitments, self._context.offload
        while self._tree is not None:
            changes = await store.take_changes()
            if changes is None:
                break  # The index was made anew since.
            if not changes:
                return self._tree
            self._tree = await offload.run(self._tree.changed, changes)
        self._tree = None  # Should it fail half way, all is read again.
        self._tree = await self._look_at_all()
        return self._tree

    async def _look_at_all(self, *, rest_s: float = 0.0) -> EntryTree:
        store, offload = self._context.store.commitments, self._context.offload
        await store.watch()
        tree = EntryTree()
        last: Key | None = None
        while entries := await store.entries_after(last):
            tree = await offload.run(tree.changed, entries)
            last = next(reversed(entries))
            await self._context.clock.sleep(rest_s)
        return tree

    # --------------------------------------------------------------------------------------------- what is known

    @property
    def latest(self) -> Commitment | None:
        """What this node committed to last, in this life."""
        return self._answered[-1].signed.record if self._answered else None

    def hear(self, data: bytes) -> HeardCommitment:
        """Decide on a commitment that came by gossip."""
        return self._book.hear(data, is_member=self._is_known, wall=self._context.clock.wall())

    def _is_known(self, peer_id: PeerId) -> bool:
        return peer_id == self._context.own or self._table.get(peer_id) is not None

    # ------------------------------------------------------------------------------------------------- asking

    def base_for(self, peer_id: PeerId, *, signed_at: int) -> Signed[Commitment] | None:
        """Return the commitment of a peer that has what it signed a receipt for then; None when none is known."""
        found = self._book.latest(peer_id, wall=self._context.clock.wall())
        return found if found is not None and signed_at < found.record.time else None

    def asked_with(self, base: Signed[Commitment] | None) -> AskedWith:
        """Return number and secret for a new challenge: a bound one where it was bound before what is asked on."""
        context = self._context
        epoch = epoch_of(context.clock.wall(), epoch_s=context.profile.epoch_s)
        asked_on = epoch if base is None else base.record.epoch
        for each in reversed(self._answered):
            bound = each.sheet.take() if each.signed.record.epoch < min(epoch, asked_on) else None
            if bound is not None:
                return AskedWith(bound.number, bound.secret, Reveal(commitment=each.signed.digest, path=bound.path))
        self._number += 1
        return AskedWith(self._number, Digest(context.rng.random_bytes(Digest.length)), None)

    def not_answered(self, peer_id: PeerId) -> None:
        """Take note that a peer does not answer for its last commitment: it is not asked on that one again."""
        self._book.give_up(peer_id)

    # ---------------------------------------------------------------------------------------------- answering

    def tree_for(self, asker: PeerId, challenge: Challenge) -> EntryTree | None:
        """Return what a challenge is asked on, None for its receipt.

        Raises `RefusalError` for a commitment that is not answered for here, and for a secret that was not bound where
        the asker says.
        """
        base = next((each for each in self._answered if each.signed.digest == challenge.commitment), None)
        if challenge.commitment is not None and base is None:
            raise RefusalError(RefusalCode.NOT_HELD, "no commitment that this node answers for: it may have begun anew")
        if challenge.reveal is not None:
            self._check_reveal(asker, challenge, challenge.reveal, base)
        return None if base is None else base.tree

    def _check_reveal(self, asker: PeerId, challenge: Challenge, reveal: Reveal, base: _Answered | None) -> None:
        """Refuse a secret that was not bound in time. Where the commitment is not known here, others may find out."""
        bound = self._book.find(asker, reveal.commitment)
        if bound is None:
            return
        try:
            check_reveal(reveal, bound.record, number=challenge.number, secret=challenge.secret)
        except PeerFaultError as error:
            raise RefusalError(RefusalCode.INVALID, str(error)) from error
        if base is not None and bound.record.epoch >= base.signed.record.epoch:
            raise RefusalError(RefusalCode.INVALID, "a secret that was bound after what is asked on, or with it")
