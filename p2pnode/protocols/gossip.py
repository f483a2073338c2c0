"""What a gossiped record must be before anyone passes it on, and the table of the kinds of records that are gossiped.

A record is checked from cheap to dear: its length, its format, its time, its sequence, how often its signer speaks, and
last its signature. What is remembered of a signer changes only after its signature was checked: otherwise a stranger
could use up the sequence of somebody else. Whoever claims an old sequence under a foreign name is ignored, not
rejected: finding out would cost a signature, and it gains nothing.

Rejected is only what no honest peer can have passed on, whatever its clock and the order of its messages: malformed,
too long, forged, or from a future that no clock within the tolerated skew calls present. For the last, our own clock
has to be right, so at least CLOCK_WITNESSES signers must have confirmed it since it was set last: a node whose clock is
wrong would else accuse all others. Time and all else come in as arguments.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from crypto.signing import BadSignatureError
from p2pnode.membership.clock_watch import ClockWatch
from p2pnode.membership.refusals import Refused
from p2pnode.seams import Verdict
from wire import limits
from wire.codec import decode
from wire.errors import WireError
from wire.ids import PublicKey
from wire.records import AnnouncementBatch, Envelope, MemberRecord
from wire.signed import Signed, open_decoded

GossipedRecord = MemberRecord | AnnouncementBatch
"""Each has a sequence and a time."""

R = TypeVar("R", bound=GossipedRecord)

SIGNERS_MAX = limits.MEMBERS_KEPT_MAX
"""Signers whose highest sequence is remembered, about 200 bytes each; the one that spoke longest ago makes room."""

CLOCK_WITNESSES = 3
"""Signers whose records must have had a time near ours before our clock is believed rather than that of another."""

FUTURE_SECONDS_MAX = 2 * limits.CLOCK_SKEW_SECONDS
"""Further ahead of our clock than this no honest peer accepts a record: it would call it more than CLOCK_SKEW_SECONDS
ahead of its own clock, or its clock is wrong by more than is tolerated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipKind(Generic[R]):
    """One kind of gossiped record."""

    topic: str
    """The name for `NetworkNames.topic`."""
    record: type[R]
    bytes_max: int
    """The longest envelope with such a record."""
    age_seconds_max: int
    """An older one is no news any more."""
    every_s: float
    """How often one signer may speak, on average; who speaks more often is not passed on."""
    burst: int
    """How many of one signer's records may come at once, because something on the way held them up."""


MEMBERS = GossipKind(
    topic="members",
    record=MemberRecord,
    bytes_max=10 * 1024,  # The largest has 9 KB.
    age_seconds_max=2 * limits.CLOCK_SKEW_SECONDS,  # As long as members of the public profile are fresh, and the skew.
    every_s=2.0,  # Testnets renew every 5 s, others every 10 min; a node that restarts speaks out of turn.
    burst=10,
)

ANNOUNCEMENTS = GossipKind(
    topic="announcements",
    record=AnnouncementBatch,
    bytes_max=60 * 1024,  # A full batch has 55 KB.
    age_seconds_max=limits.CLOCK_SKEW_SECONDS,
    every_s=0.8,  # Batches leave once a second; a clock may run a little faster.
    burst=60,  # A minute's worth behind a link that was cut and came back.
)

KINDS: tuple[GossipKind[MemberRecord] | GossipKind[AnnouncementBatch], ...] = (MEMBERS, ANNOUNCEMENTS)
"""Every kind that is gossiped and has a sequence; evidence has its own rules (`evidence.py`)."""


@dataclass(frozen=True, slots=True)
class Checked(Generic[R]):
    """What the gate says of one message."""

    verdict: Verdict
    reason: str
    """For the log."""
    signed: Signed[R] | None = None
    """The record, when the verdict is ACCEPT."""
    refused: Refused | None = None
    """What it counts as, when it was refused; what is merely known already was not."""
    is_notable: bool = False
    """Whether the user should hear of it: something was dropped that an honest signer may have meant."""


@dataclass(slots=True)
class _Signer:
    """What is remembered of one signer."""

    sequence: int
    allowance: float
    at: float


class GossipGate(Generic[R]):
    """Checks the records of one kind."""

    def __init__(self, kind: GossipKind[R], *, network: str) -> None:
        """Nothing was heard yet."""
        self._kind = kind
        self._network = network
        self._signers: OrderedDict[PublicKey, _Signer] = OrderedDict()
        self._too_often = 0
        self._watch = ClockWatch()
        self._witnesses: set[PublicKey] = set()
        """Signers that have confirmed our clock as it is now; CLOCK_WITNESSES at most."""

    def __len__(self) -> int:
        """Return how many signers are remembered."""
        return len(self._signers)

    def check(self, data: bytes, *, now: float, wall: float) -> Checked[R]:
        """Decide on one message; `now` is monotonic time, `wall` ours of day, in seconds. Never raises."""
        if len(data) > self._kind.bytes_max:
            reason = f"{len(data)} bytes, at most {self._kind.bytes_max} are allowed"
            return Checked(Verdict.REJECT, reason, refused=Refused.BAD_RECORD)
        try:
            envelope = decode(data, Envelope, bytes_max=self._kind.bytes_max)
            record = decode(envelope.body, self._kind.record, bytes_max=self._kind.bytes_max)
        except WireError as error:
            return Checked(Verdict.REJECT, str(error), refused=Refused.BAD_RECORD)
        if self._watch.was_set(now=now, wall=wall, asleep=0.0):  # After a sleep too others confirm our clock first.
            self._witnesses.clear()
        checked = self._timely(record, wall) or self._in_turn(envelope.signer, record, now)
        if checked is not None:
            return checked
        try:
            signed = open_decoded(envelope, record, network=self._network)
        except BadSignatureError as error:
            return Checked(Verdict.REJECT, str(error), refused=Refused.BAD_RECORD)
        self._remember(envelope.signer, record.sequence, now)
        return Checked(Verdict.ACCEPT, "news", signed)

    def _timely(self, record: GossipedRecord, wall: float) -> Checked[R] | None:
        ahead = record.time - wall
        if ahead > FUTURE_SECONDS_MAX and len(self._witnesses) == CLOCK_WITNESSES:
            return Checked(Verdict.REJECT, "from the far future", refused=Refused.FUTURE_RECORD)
        if ahead > limits.CLOCK_SKEW_SECONDS:
            return Checked(Verdict.IGNORE, "from the future", refused=Refused.FUTURE_RECORD)
        if -ahead > self._kind.age_seconds_max:
            return Checked(Verdict.IGNORE, "too old", refused=Refused.STALE_RECORD)
        return None

    def _in_turn(self, signer: PublicKey, record: GossipedRecord, now: float) -> Checked[R] | None:
        known = self._signers.get(signer)
        if known is None:
            return None
        if record.sequence <= known.sequence:
            return Checked(Verdict.IGNORE, "known already")
        if self._allowance(known, now) < 1:
            self._too_often += 1
            is_notable = self._too_often & (self._too_often - 1) == 0  # The first, second, fourth, eighth, and so on.
            reason = f"signers spoke more often than their kind allows, {self._too_often} times so far"
            return Checked(Verdict.IGNORE, reason, refused=Refused.TOO_OFTEN, is_notable=is_notable)
        return None

    def _allowance(self, signer: _Signer, now: float) -> float:
        return min(float(self._kind.burst), signer.allowance + (now - signer.at) / self._kind.every_s)

    def _remember(self, signer: PublicKey, sequence: int, now: float) -> None:
        known = self._signers.pop(signer, None)
        allowance = float(self._kind.burst) if known is None else self._allowance(known, now)
        self._signers[signer] = _Signer(sequence, allowance - 1, now)
        if len(self._witnesses) < CLOCK_WITNESSES:
            self._witnesses.add(signer)
        if len(self._signers) > SIGNERS_MAX:
            self._signers.popitem(last=False)
