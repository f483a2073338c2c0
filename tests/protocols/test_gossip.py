"""The gate that every gossiped record passes: what is rejected, what is ignored, and what is news."""

from __future__ import annotations

import dataclasses
import random

import pytest

from p2pnode.protocols import gossip
from p2pnode.protocols.gossip import ANNOUNCEMENTS, KINDS, MEMBERS, GossipGate
from p2pnode.seams import Verdict
from tests import factories
from wire import limits
from wire.codec import encode
from wire.records import MemberRecord
from wire.signed import Signed, sign_record

WALL = 1_800_000_000
SKEW = limits.CLOCK_SKEW_SECONDS


def _signed(
    number: int = 1, *, sequence: int = 1, time: int = WALL, network: str = factories.NETWORK
) -> Signed[MemberRecord]:
    record = dataclasses.replace(factories.member_record(), sequence=sequence, time=time)
    return sign_record(record, key=factories.key(number), network=network)


def _message(number: int = 1, *, sequence: int = 1, time: int = WALL) -> bytes:
    return encode(_signed(number, sequence=sequence, time=time).envelope)


@pytest.fixture
def gate() -> GossipGate[MemberRecord]:
    """A gate for member records that heard nothing yet."""
    return GossipGate(MEMBERS, network=factories.NETWORK)


def _verdict(gate: GossipGate[MemberRecord], data: bytes, *, now: float = 0.0, wall: float = WALL) -> Verdict:
    checked = gate.check(data, now=now, wall=wall)
    assert (checked.signed is not None) is (checked.verdict is Verdict.ACCEPT)
    return checked.verdict


def test_news_is_accepted_and_opened(gate: GossipGate[MemberRecord]) -> None:
    assert gate.check(_message(), now=0, wall=WALL).signed == _signed()


def test_a_record_is_news_once_and_an_older_one_never(gate: GossipGate[MemberRecord]) -> None:
    assert _verdict(gate, _message(sequence=5)) is Verdict.ACCEPT
    assert _verdict(gate, _message(sequence=5)) is Verdict.IGNORE
    assert _verdict(gate, _message(sequence=4)) is Verdict.IGNORE
    assert _verdict(gate, _message(sequence=6)) is Verdict.ACCEPT


def test_sequences_of_different_signers_do_not_mix(gate: GossipGate[MemberRecord]) -> None:
    assert _verdict(gate, _message(1, sequence=9)) is Verdict.ACCEPT
    assert _verdict(gate, _message(2, sequence=1)) is Verdict.ACCEPT


def test_a_forged_record_is_rejected_and_never_uses_up_a_sequence(gate: GossipGate[MemberRecord]) -> None:
    envelope = _signed(sequence=1_000).envelope
    forged = dataclasses.replace(envelope, signature=_signed(2).envelope.signature)
    assert _verdict(gate, encode(forged)) is Verdict.REJECT
    assert len(gate) == 0
    assert _verdict(gate, _message(sequence=1)) is Verdict.ACCEPT


def test_a_record_of_another_network_is_rejected(gate: GossipGate[MemberRecord]) -> None:
    assert _verdict(gate, encode(_signed(network="elsewhere").envelope)) is Verdict.REJECT


def test_garbage_and_records_of_another_kind_are_rejected(gate: GossipGate[MemberRecord], rng: random.Random) -> None:
    for count in (0, 1, 100, 5_000):
        assert _verdict(gate, rng.randbytes(count)) is Verdict.REJECT
    batch = sign_record(factories.announcement_batch(), key=factories.key(), network=factories.NETWORK)
    assert _verdict(gate, encode(batch.envelope)) is Verdict.REJECT


def test_a_message_longer_than_its_kind_allows_is_rejected_before_it_is_read(gate: GossipGate[MemberRecord]) -> None:
    checked = gate.check(bytes(MEMBERS.bytes_max + 1), now=0, wall=WALL)
    assert checked.verdict is Verdict.REJECT
    assert "10241 bytes" in checked.reason


@pytest.mark.parametrize(
    ("offset", "verdict"),
    [
        (SKEW, Verdict.ACCEPT),
        (SKEW + 1, Verdict.IGNORE),
        (2 * SKEW, Verdict.IGNORE),
        (2 * SKEW + 1, Verdict.REJECT),
        (-MEMBERS.age_seconds_max, Verdict.ACCEPT),
        (-MEMBERS.age_seconds_max - 1, Verdict.IGNORE),
    ],
)
def test_time_decides_by_how_far_it_is_from_ours(gate: GossipGate[MemberRecord], offset: int, verdict: Verdict) -> None:
    for number in range(2, 2 + gossip.CLOCK_WITNESSES):
        assert _verdict(gate, _message(number)) is Verdict.ACCEPT
    assert _verdict(gate, _message(time=WALL + offset)) is verdict


def test_a_node_with_a_wrong_clock_never_rejects_what_honest_peers_say(gate: GossipGate[MemberRecord]) -> None:
    hours_behind = WALL - 5 * 3600
    for number in range(1, 20):
        assert _verdict(gate, _message(number), wall=hours_behind) is Verdict.IGNORE
    assert _verdict(gate, _message(1), wall=WALL) is Verdict.ACCEPT


@pytest.mark.parametrize("jump", [-24 * 3600, 7 * 24 * 3600])
def test_a_clock_that_jumps_makes_a_node_reject_nobody_though_others_had_confirmed_it(
    gate: GossipGate[MemberRecord], jump: int
) -> None:
    for number in range(1, 20):
        assert _verdict(gate, _message(number)) is Verdict.ACCEPT
    for number in range(1, 20):
        assert _verdict(gate, _message(number, sequence=2), wall=WALL + jump) is Verdict.IGNORE
    future = _message(1, sequence=3, time=WALL + 3 * SKEW)
    for number in range(2, 2 + gossip.CLOCK_WITNESSES):
        assert _verdict(gate, future) is Verdict.IGNORE, "nobody has confirmed yet that it is right again"
        assert _verdict(gate, _message(number, sequence=3)) is Verdict.ACCEPT
    assert _verdict(gate, future) is Verdict.REJECT


def test_an_honest_burst_passes_and_a_signer_that_floods_is_not_passed_on(gate: GossipGate[MemberRecord]) -> None:
    burst = [_verdict(gate, _message(sequence=sequence)) for sequence in range(MEMBERS.burst + 5)]
    assert burst == [Verdict.ACCEPT] * MEMBERS.burst + [Verdict.IGNORE] * 5
    later = MEMBERS.every_s
    assert _verdict(gate, _message(sequence=100), now=later) is Verdict.ACCEPT
    assert _verdict(gate, _message(sequence=101), now=later) is Verdict.IGNORE
    assert _verdict(gate, _message(2, sequence=1), now=later) is Verdict.ACCEPT


def test_a_flood_is_worth_a_warning_more_and_more_rarely(gate: GossipGate[MemberRecord]) -> None:
    checks = [gate.check(_message(sequence=number), now=0, wall=WALL) for number in range(MEMBERS.burst + 16)]
    assert [number - MEMBERS.burst + 1 for number, each in enumerate(checks) if each.is_notable] == [1, 2, 4, 8, 16]


def test_an_honest_signer_is_within_the_rate_of_every_kind() -> None:
    assert MEMBERS.every_s < 5  # The testnet renews its records every 5 s.
    assert ANNOUNCEMENTS.every_s < 1  # Batches leave once a second.
    assert all(kind.bytes_max <= limits.GOSSIP_BYTES_MAX for kind in KINDS)
    assert len({kind.topic for kind in KINDS}) == len(KINDS)


def test_the_table_of_signers_is_bounded(gate: GossipGate[MemberRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "SIGNERS_MAX", 3)
    for number in range(1, 6):
        assert _verdict(gate, _message(number)) is Verdict.ACCEPT
    assert len(gate) == 3
    assert _verdict(gate, _message(5)) is Verdict.IGNORE
    assert _verdict(gate, _message(1)) is Verdict.ACCEPT  # It spoke longest ago, and is forgotten.
