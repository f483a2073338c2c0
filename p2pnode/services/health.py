"""How the blobs that this node has to do with are doing, as it sees them itself: the ground for repair, on both sides.

Who repairs and who is asked for symbols look in the same way, each with its own eyes.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from p2pnode.placement.replacement import replacements
from p2pnode.protocols.page_digests import EMPTY, differing_buckets
from p2pnode.protocols.page_records import PageRecords
from p2pnode.protocols.repair.health import Presence, presence_of
from p2pnode.protocols.repair.survey import Claim, Eyes, LostShard, PageView, survey
from p2pnode.services.context import Context
from p2pnode.services.membership import Membership
from wire import limits
from wire.ids import PAGE_BUCKETS, Digest, PeerId

AUDITS_AWAITED = 2
"""Regular audits that may go by before one of a signer's claims is proven; then they count no more."""

TOLD_MAX = 256
"""Pages of others that we were told of, because we may rebuild something of them; some 10 KB each."""

SIGNERS_MAX = limits.MEMBERS_KEPT_MAX
"""Signers of claims of which it is known how long to wait for a proof; of those met first it is forgotten."""

TOLD_KEPT_STEPS = 8
"""For so many rank steps what we were told of a page is taken for true."""


@dataclass(frozen=True, slots=True)
class _Seen:
    presences: Mapping[PeerId, Presence]
    stranger: Presence
    at: float

    def of(self, peer_id: PeerId) -> Presence:
        return self.presences.get(peer_id, self.stranger)


class HealthView:
    """This node's view of pages and holders."""

    def __init__(self, context: Context, membership: Membership) -> None:
        """Nothing was looked at yet."""
        self._context = context
        self._membership = membership
        self._seen = _Seen({}, Presence.LOST, at=-math.inf)
        self._patience: OrderedDict[PeerId, float] = OrderedDict()
        """Until when the claims of a signer count though none was proven; SIGNERS_MAX of them."""
        self._over: set[PeerId] = set()
        self._told: OrderedDict[Digest, tuple[PageRecords, float]] = OrderedDict()

    # ------------------------------------------------------------------ holders

    def presences(self) -> Mapping[PeerId, Presence]:
        """Return what is believed of every member, and of ourselves; it is made once for each moment."""
        return self._look().presences

    def presence(self, peer_id: PeerId) -> Presence:
        """Return what is believed of a holder."""
        return self._look().of(peer_id)

    def stays(self, peer_id: PeerId) -> bool:
        """Tell whether another node is here, and does not leave for good."""
        return self.presence(peer_id) is Presence.HERE and not self._membership.table.is_draining(peer_id)

    def _look(self) -> _Seen:
        context, table = self._context, self._membership.table
        now = context.clock.monotonic()
        if self._seen.at != now:
            profile = context.profile

            def presence(peer_id: PeerId) -> Presence:
                return presence_of(
                    table.liveness(peer_id, now=now),
                    silence_s=table.silence(peer_id, now=now),
                    overdue_s=table.overdue(peer_id, now=now),
                    profile=profile,
                )

            known = {peer_id: presence(peer_id) for peer_id, _ in table.members()}
            known[context.own] = Presence.HERE
            self._seen = _Seen(known, presence(PeerId(bytes(PeerId.length))), now)
        return self._seen

    def sees_few(self) -> bool:
        """Tell whether fewer than half of the vetted members are here."""
        table, wall = self._membership.table, self._context.clock.wall()
        vetted = [peer_id for peer_id, _ in table.members() if table.is_vetted(peer_id, wall=wall)]
        here = sum(self.presence(peer_id) is Presence.HERE for peer_id in vetted)
        return 2 * here < len(vetted)

    # ------------------------------------------------------------------ pages

    def told(self, page: Digest, records: PageRecords) -> None:
        """Take checked records of a page of which we hold nothing; we may be a candidate for something of it.

        They get old: after TOLD_KEPT_STEPS we have to be told again.
        """
        until = self._context.clock.monotonic() + TOLD_KEPT_STEPS * self._context.profile.repair_rank_step_s
        self._told[page] = (records, until)
        self._told.move_to_end(page)
        if len(self._told) > TOLD_MAX:
            self._told.popitem(last=False)

    def is_told(self, page: Digest) -> bool:
        """Tell whether what we know of a page is what others told."""
        return page in self._told

    def forget(self, page: Digest) -> None:
        """Forget what others told of a page."""
        self._told.pop(page, None)

    async def survey(self, page: Digest, beside: PageRecords | None = None) -> PageView | None:
        """Look at a page, with some checked records beside those that are kept; None when nothing of it is certified.

        Raises `LocalStorageError`.
        """
        context = self._context
        records = await context.store.receipts.records_of_page(page)
        now = context.clock.monotonic()
        told, until = self._told.get(page, (None, now))
        if told is not None and until <= now:
            self.forget(page)
            told = None
        for more in (told, beside):
            if more is not None:
                records = records.joined(more)
        blobs = [blob_id for _, group in records.pages() for blob_id in group.blob_ids]
        eyes = Eyes(
            presence=self._look().of,
            audited=context.passed.of(blobs),
            is_believed=lambda claim: claim[1] == context.own or self._patience.get(claim[1], math.inf) > now,
            wall=context.clock.wall(),
            missing_min=context.profile.repair_missing_min,
        )
        view = await context.offload.run(survey, page, records, eyes)
        if view is not None:
            self._note_claims(view.claims)
        return view

    async def pages_shared(self, peer_id: PeerId) -> list[Digest]:
        """Return the pages of which both a peer and we hold pairs, and with our own id all of ours."""
        context = self._context
        receipts = context.store.receipts
        buckets = list(range(PAGE_BUCKETS))
        if peer_id != context.own:
            buckets = differing_buckets(await receipts.page_digests(context.own, peer_id), EMPTY)
        found: list[Digest] = []
        after: Digest | None = None
        while buckets:
            pages, has_more = await receipts.pages_shared(context.own, peer_id, buckets, after)
            found += [each.page for each in pages]
            if not has_more:
                break
            # The pages come bucket by bucket, in their order: the next ones are beyond the last.
            after = found[-1]
        return found

    def order(self, view: PageView, lost: LostShard) -> list[PeerId]:
        """Return the candidates for a missing shard, best first: members that may be given data, and are here."""
        candidates = [each for each in self._membership.candidates() if self.presence(each.peer_id) is Presence.HERE]
        held = Counter(each for each in lost.holders if each is not None and self.presence(each) is not Presence.LOST)
        chosen = replacements(view.seed, lost.shard, candidates, n=view.n, held=held, former=lost.former)
        return [each.peer_id for each in chosen]

    # ------------------------------------------------------------------ claims

    def _note_claims(self, claims: Collection[Claim]) -> None:
        if self._context.profile.audit_every_s:  # Where nobody audits, every live receipt counts for repair.
            for _, peer_id in claims:
                if peer_id not in self._patience:
                    self._set_patience(peer_id, self._until())

    def _until(self) -> float:
        profile = self._context.profile
        wait_s = AUDITS_AWAITED * profile.audit_every_s + profile.asked_again_after_s[1]
        return self._context.clock.monotonic() + wait_s

    def claim_audited(self, peer_id: PeerId, *, passed: bool) -> None:
        """Take note of an audit of somebody's claim: it speaks for, or against, all that its signer claims."""
        self._set_patience(peer_id, self._until() if passed else -math.inf)

    def _set_patience(self, peer_id: PeerId, until: float) -> None:
        self._patience[peer_id] = until
        while len(self._patience) > SIGNERS_MAX:
            self._patience.popitem(last=False)

    def out_of_patience(self) -> list[PeerId]:
        """Return whose claims have ceased to count since the last call."""
        now = self._context.clock.monotonic()
        over = {peer_id for peer_id, until in self._patience.items() if until <= now}
        found, self._over = sorted(over - self._over), over
        return found
