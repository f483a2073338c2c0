"""Auditing claims: receipts outside of any certificate, as those for rebuilt pairs are, until one of ours was passed.

Each holder asks at its own pace. A claim that passes counts from then on; one that fails speaks against all that its
signer claims, for whoever signs for many pairs without holding them is found by asking for a few.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import trio

from p2pnode.errors import LocalStorageError, NotFoundError
from p2pnode.protocols.receipt_set import Pair
from p2pnode.protocols.repair.survey import Claim
from p2pnode.reputation.scores import Verdict
from p2pnode.services.audit import Auditor
from p2pnode.services.context import Context
from p2pnode.services.health import HealthView
from wire.ids import Digest, PeerId

log = logging.getLogger(__name__)

SIGNERS_MAX = 10_000
"""Signers whose claims wait; those beyond wait for the next look at their page."""

CLAIMS_PER_SIGNER_MAX = 256
"""Claims of one signer that wait for an audit; the others wait for the next look at their pages."""

AUDITS_PER_INTERVAL = 4
"""Claims of one signer that are audited in the interval of regular audits."""

SIGNERS_AT_ONCE = 4
"""Signers that are asked at a time."""

_CONCLUSIVE = {Verdict.OK: True, Verdict.WRONG: False, Verdict.ABSENT: False, Verdict.TIMEOUT: False}


class ClaimAuditor:
    """Audits claims, a few of each signer at a time."""

    def __init__(
        self, context: Context, health: HealthView, auditor: Auditor, *, on_changed: Callable[[Iterable[Digest]], None]
    ) -> None:
        """Nothing is asked before `run`; `on_changed` hears of pages of which a claim was audited."""
        self._context = context
        self._health = health
        self._auditor = auditor
        self._on_changed = on_changed
        self._waiting: dict[PeerId, dict[Pair, Digest]] = {}
        self._again_at: dict[PeerId, float] = {}

    def note(self, page: Digest, claims: Iterable[Claim]) -> None:
        """Take note of claims in a page."""
        for pair, peer_id in claims:
            if peer_id not in self._waiting and len(self._waiting) >= SIGNERS_MAX:
                continue
            waiting = self._waiting.setdefault(peer_id, {})
            if len(waiting) < CLAIMS_PER_SIGNER_MAX:
                waiting[pair] = page

    async def run(self) -> None:
        """Audit claims until cancelled; where nobody audits, nothing is asked."""
        profile, clock = self._context.profile, self._context.clock
        while profile.audit_every_s:
            await clock.sleep(profile.reconnect_every_s)
            now = clock.monotonic()
            self._again_at = {peer_id: at for peer_id, at in self._again_at.items() if at > now}
            due = [each for each in sorted(self._waiting) if each not in self._again_at]
            async with trio.open_nursery() as nursery:
                for peer_id in due[:SIGNERS_AT_ONCE]:
                    nursery.start_soon(self._audit_one, peer_id)

    async def _audit_one(self, peer_id: PeerId) -> None:
        context = self._context
        profile = context.profile
        waiting = self._waiting[peer_id]
        pair = context.rng.shuffled(sorted(waiting))[0]
        page = waiting.pop(pair)
        if not waiting:
            del self._waiting[peer_id]
        self._again_at[peer_id] = context.clock.monotonic() + profile.audit_every_s / AUDITS_PER_INTERVAL
        try:
            audited = await self._auditor.audit_pair(peer_id, page, pair)
        except (NotFoundError, LocalStorageError) as error:
            log.debug("no audit of a claim of %s: %s", peer_id, error)
            return
        passed = _CONCLUSIVE.get(Verdict(audited.verdict))
        if passed is not None:
            self._health.claim_audited(peer_id, passed=passed)
        self._on_changed([page])
