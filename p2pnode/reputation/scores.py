"""The scores of all peers that we audit, and which verdicts count.

A wrong answer, an absent pair and silence on a live connection speak against a peer. That it is away or busy says
nothing of its promises, only of its line; but nobody may hide behind being busy: above a tenth of a day's questions it
counts as silence.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from p2pnode.reputation.score import NEW, Score
from wire import limits
from wire.ids import PeerId

SCORES_MAX = limits.MEMBERS_KEPT_MAX
"""Peers whose score is kept: as many as there may be members; who was asked longest ago makes room."""

DAY_S = 24 * 3600

BUSY_SHARE = 0.1
"""How much of what is asked in a day may go unanswered for being busy."""

BUSY_FREE = 2
"""So often a day being busy is nothing, however few questions there were."""


class Verdict(enum.StrEnum):
    """What came of one question."""

    OK = "ok"
    WRONG = "wrong"
    """It answered with something that is no proof."""
    ABSENT = "absent"
    """It does not hold the pair any more, and has retracted its receipt."""
    TIMEOUT = "timeout"
    """It was connected all the while, and silent."""
    OFFLINE = "offline"
    BUSY = "busy"
    """It answered that it will not."""


_PASSED = {Verdict.OK: True, Verdict.WRONG: False, Verdict.ABSENT: False, Verdict.TIMEOUT: False}


@dataclass(slots=True)
class _Peer:
    score: Score
    day: int = -1
    asked: int = 0
    busy: int = 0


class Scores:
    """What we think of everybody, by our own audits only."""

    def __init__(self) -> None:
        """Nobody was audited yet."""
        self._peers: OrderedDict[PeerId, _Peer] = OrderedDict()

    def __len__(self) -> int:
        """Return how many peers have a score."""
        return len(self._peers)

    def of(self, peer_id: PeerId) -> Score:
        """Return a peer's score."""
        peer = self._peers.get(peer_id)
        return NEW if peer is None else peer.score

    def note(self, peer_id: PeerId, verdict: Verdict, *, now: float) -> Verdict:
        """Take a verdict in; `now` is monotonic. Returns it, or TIMEOUT for being busy too often."""
        peer = self._peers.pop(peer_id, None) or _Peer(NEW)
        self._peers[peer_id] = peer
        if len(self._peers) > SCORES_MAX:
            self._peers.popitem(last=False)
        day = int(now // DAY_S)
        if peer.day != day:
            peer.day, peer.asked, peer.busy = day, 0, 0
        peer.asked += 1
        peer.busy += verdict is Verdict.BUSY
        if verdict is Verdict.BUSY and peer.busy > max(BUSY_FREE, peer.asked * BUSY_SHARE):
            verdict = Verdict.TIMEOUT
        if verdict in _PASSED:
            peer.score = peer.score.after(passed=_PASSED[verdict])
        return verdict

    def remember(self, scores: Iterable[tuple[PeerId, Score]]) -> None:
        """Take in what an earlier life knew."""
        for peer_id, score in scores:
            self._peers[peer_id] = _Peer(score)

    def known(self) -> list[tuple[PeerId, Score]]:
        """Return all scores, for the next life, in the order of peer ids."""
        return [(peer_id, self._peers[peer_id].score) for peer_id in sorted(self._peers)]
