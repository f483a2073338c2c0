"""Commitments: an honest node signs one for an epoch whatever happens to it, and two convict before everybody."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace

import pytest

from crypto.merkle import merkle_root
from p2pnode.errors import PeerFaultError
from p2pnode.membership.clock_watch import CLOCK_SET_S
from p2pnode.protocols.commitments import (
    COMMITMENT_BYTES_MAX,
    SECRETS,
    CommitGate,
    CommitmentBook,
    HeardCommitment,
    SecretSheet,
    check_reveal,
    contradiction_of,
    epoch_of,
    is_envelope,
    make_commitment,
)
from p2pnode.protocols.entry_tree import EntryTree
from p2pnode.protocols.evidence import conviction_name, open_evidence
from p2pnode.seams import Verdict
from tests import factories
from tests.factories import NETWORK, key, peer_id
from wire import limits
from wire.codec import encode
from wire.commitments import Commitment, Reveal
from wire.evidence import Evidence, EvidenceKind
from wire.ids import Signature
from wire.signed import Signed

EPOCH_S = 3600
WAIT_S = EPOCH_S + 2 * limits.CLOCK_SKEW_SECONDS
SIGNER = 1
EPOCH = factories.TIME // EPOCH_S
WALL = float(factories.TIME)


def signed(epoch: int = EPOCH, *, count: int = 0, signer: int = SIGNER) -> Signed[Commitment]:
    """Return a commitment that node `signer` has made in an epoch; those with another count differ."""
    return factories.signed(factories.commitment(epoch=epoch, time=epoch * EPOCH_S, count=count), key(signer))


@pytest.fixture
def book() -> CommitmentBook:
    """A node that has heard nothing."""
    return CommitmentBook(network=NETWORK, epoch_s=EPOCH_S)


def hear(book: CommitmentBook, one: Signed[Commitment], *, wall: float = WALL) -> HeardCommitment:
    """Let it hear a commitment of a member."""
    return book.hear(encode(one.envelope), is_member=lambda _: True, wall=wall)


# ---------------------------------------------------------------------------------------------- when to sign


def gate() -> CommitGate:
    """Return the gate of a life that begins."""
    return CommitGate(epoch_s=EPOCH_S, wait_s=WAIT_S)


def test_a_node_signs_once_for_each_epoch_after_its_wait() -> None:
    found, last, one = [], 0, gate()
    for now in range(0, 5 * EPOCH_S, 600):
        epoch = one.due(last=last, lead_s=0.0, now=now, wall=WALL + now, asleep=0.0)
        if epoch is not None:
            found.append(now)
            assert epoch == epoch_of(WALL + now, epoch_s=EPOCH_S)
            last = epoch
    assert found[0] == WAIT_S
    assert (
        len(found) == epoch_of(WALL + 5 * EPOCH_S - 600, epoch_s=EPOCH_S) - epoch_of(WALL + WAIT_S, epoch_s=EPOCH_S) + 1
    )


def test_nothing_is_signed_without_contact_or_while_others_disagree_about_the_time() -> None:
    one = gate()
    assert one.due(last=0, lead_s=None, now=0.0, wall=WALL, asleep=0.0) is None
    assert one.due(last=0, lead_s=None, now=WAIT_S, wall=WALL + WAIT_S, asleep=0.0) is None
    assert one.due(last=0, lead_s=limits.CLOCK_SKEW_SECONDS + 1, now=WAIT_S, wall=WALL + WAIT_S, asleep=0.0) is None
    late = 2 * WAIT_S - 1
    assert (
        one.due(last=0, lead_s=0.0, now=late, wall=WALL + late, asleep=0.0) is None
    )  # Others disagreed, so the wait began anew.
    assert one.due(last=0, lead_s=0.0, now=late + WAIT_S, wall=WALL + late + WAIT_S, asleep=0.0) is not None


def test_a_clock_that_is_set_begins_the_wait_anew() -> None:
    one = gate()
    assert one.due(last=0, lead_s=0.0, now=0.0, wall=WALL, asleep=0.0) is None
    assert one.due(last=0, lead_s=0.0, now=WAIT_S, wall=WALL + WAIT_S - CLOCK_SET_S - 1, asleep=0.0) is None
    assert one.due(last=0, lead_s=0.0, now=WAIT_S + 1, wall=WALL + WAIT_S - CLOCK_SET_S, asleep=0.0) is None


def test_a_machine_that_slept_signs_once_others_confirm_its_clock_and_does_not_wait_anew() -> None:
    one, night = gate(), 8 * 3600.0
    assert one.due(last=0, lead_s=0.0, now=0.0, wall=WALL, asleep=0.0) is None
    now, wall = WAIT_S, WALL + WAIT_S + night
    assert one.due(last=0, lead_s=None, now=now, wall=wall, asleep=night) is None
    assert one.due(last=0, lead_s=0.0, now=now, wall=wall, asleep=night) is not None


@dataclass
class Committer:
    """An honest node that looks whether to sign, and what can happen to it; the true time is `at`."""

    rng: random.Random
    at: float = WALL
    skew_s: float = 0.0
    last: int = 0
    copy: int = 0
    gate: CommitGate = field(default_factory=gate)
    epochs: list[int] = field(default_factory=list)

    def look(self) -> None:
        """Sign if it is time, and wait a while."""
        due = self.gate.due(last=self.last, lead_s=self.skew_s, now=self.at, wall=self.at + self.skew_s, asleep=0.0)
        if due is not None:
            self.epochs.append(due)
            self.last = due
        self.at += 600

    def restart(self) -> None:
        """Begin another life."""
        self.gate = gate()

    def back_up(self) -> None:
        """Take a copy of the disk."""
        self.copy = self.last

    def put_back(self) -> None:
        """Begin another life with an old disk, which nobody notices."""
        self.last = self.copy
        self.restart()

    def lose_disk(self) -> None:
        """Begin another life with nothing but the key."""
        self.last = 0
        self.restart()

    def set_clock(self) -> None:
        """Set the clock to anything that is tolerated, or beyond it."""
        self.skew_s = self.rng.uniform(-1.2, 1.2) * limits.CLOCK_SKEW_SECONDS

    def live(self, steps: int) -> None:
        """Let so many things happen."""
        happenings = (self.restart, self.back_up, self.put_back, self.lose_disk, self.set_clock)
        for _ in range(steps):
            self.rng.choices((self.look, self.rng.choice(happenings)), (14, 1))[0]()


HISTORIES = int(os.environ.get("P2PNODE_HISTORIES", "60"))
"""Each of months; `P2PNODE_HISTORIES=10000` plays as many as the release gate asks for, in a minute or two."""


def lives(rng: random.Random) -> list[Committer]:
    """Let some nodes live for months."""
    found = [Committer(random.Random(rng.getrandbits(64))) for _ in range(HISTORIES)]
    for each in found:
        each.live(600)
    return found


def test_no_epoch_is_signed_for_twice_whatever_happens_to_the_disk_and_the_clock(rng: random.Random) -> None:
    found = lives(rng)
    for each in found:
        assert len(set(each.epochs)) == len(each.epochs)
    assert sum(len(each.epochs) for each in found) > HISTORIES  # They do sign.


def test_the_histories_find_a_wait_that_is_too_short(rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "WAIT_S", 600)
    assert any(len(set(each.epochs)) < len(each.epochs) for each in lives(rng))


# --------------------------------------------------------------------------------------------------- secrets


def test_each_secret_is_given_once_and_proven_to_be_bound(rng: random.Random) -> None:
    sheet = SecretSheet(rng.randbytes(32))
    record = factories.commitment(secrets=sheet.root)
    given = []
    while (bound := sheet.take()) is not None:
        reveal = Reveal(commitment=factories.digest(), path=bound.path)
        check_reveal(reveal, record, number=bound.number, secret=bound.secret)
        given.append(bound)
    assert [each.number for each in given] == list(range(SECRETS))
    assert len({each.secret for each in given}) == SECRETS
    assert merkle_root([each.secret for each in given]) == sheet.root
    assert SecretSheet(rng.randbytes(32)).root != sheet.root
    one, other = given[:2]
    for number, secret in ((one.number, other.secret), (other.number, one.secret), (SECRETS, one.secret)):
        with pytest.raises(PeerFaultError, match="was not bound"):
            check_reveal(Reveal(commitment=factories.digest(), path=one.path), record, number=number, secret=secret)


# ----------------------------------------------------------------------------------------------- what is heard


def test_a_commitment_says_what_its_tree_has() -> None:
    tree = EntryTree()
    made = make_commitment(
        tree, epoch=EPOCH, time=factories.TIME, secrets=factories.digest(), key=key(SIGNER), network=NETWORK
    )
    assert (made.record.root, made.record.count, made.record.pair_bytes) == (tree.root, 0, 0)
    assert len(encode(made.envelope)) <= COMMITMENT_BYTES_MAX
    assert is_envelope(encode(made.envelope))
    assert not is_envelope(b"")


def test_the_largest_commitment_fits_into_its_bound() -> None:
    most = limits.UINT64_MAX
    record = replace(factories.commitment(), epoch=most, time=most, count=most, pair_bytes=most)
    assert len(encode(factories.signed(record, key(SIGNER)).envelope)) <= COMMITMENT_BYTES_MAX


def test_the_last_three_of_a_member_are_kept_and_passed_on_once(book: CommitmentBook) -> None:
    one, two, three = (signed(EPOCH + each) for each in (-2, -1, 0))
    late = WALL + limits.CLOCK_SKEW_SECONDS
    assert book.latest(peer_id(SIGNER), wall=WALL) is None
    assert book.find(peer_id(SIGNER), one.digest) is None
    for each in (two, one, three):  # In any order.
        assert hear(book, each).verdict is Verdict.ACCEPT
        assert hear(book, each).verdict is Verdict.IGNORE
    assert book.latest(peer_id(SIGNER), wall=WALL) == three
    kept = [book.find(peer_id(SIGNER), each.digest) for each in (one, two, three)]
    assert kept == [one, two, three]
    four = signed(EPOCH + 1)
    assert hear(book, four, wall=late).verdict is Verdict.ACCEPT
    assert hear(book, one).reason.startswith("known already, or older")
    assert [book.find(peer_id(SIGNER), each.digest) for each in (one, two, four)] == [None, two, four]
    assert len(book) == 1
    assert book.latest(peer_id(SIGNER), wall=WALL + 4 * EPOCH_S + limits.CLOCK_SKEW_SECONDS) is None


def test_whose_last_one_is_not_answered_for_is_asked_on_the_next_one(book: CommitmentBook) -> None:
    book.give_up(peer_id(SIGNER))  # Nothing was heard of it.
    hear(book, signed(EPOCH - 1))
    book.give_up(peer_id(SIGNER))
    assert book.latest(peer_id(SIGNER), wall=WALL) is None
    hear(book, signed(EPOCH - 2))  # A late one is no new one.
    assert book.latest(peer_id(SIGNER), wall=WALL) is None
    hear(book, signed())
    assert book.latest(peer_id(SIGNER), wall=WALL) == signed()


def test_only_what_no_honest_peer_passes_on_is_rejected(book: CommitmentBook) -> None:
    good = signed()

    def verdict_on(data: bytes) -> Verdict:
        return book.hear(data, is_member=lambda _: True, wall=WALL).verdict

    assert verdict_on(b"") is Verdict.REJECT
    assert verdict_on(encode(good.envelope) + bytes(COMMITMENT_BYTES_MAX)) is Verdict.REJECT
    assert verdict_on(encode(factories.envelope())) is Verdict.REJECT
    assert verdict_on(encode(replace(good.envelope, signature=Signature(bytes(64))))) is Verdict.REJECT
    assert hear(book, factories.signed(replace(good.record, epoch=EPOCH + 1), key(SIGNER))).verdict is Verdict.REJECT
    assert hear(book, signed(EPOCH + 1)).verdict is Verdict.IGNORE  # Its clock may be ahead, or ours behind.
    assert hear(book, signed(EPOCH - 3)).verdict is Verdict.IGNORE
    stranger = book.hear(encode(good.envelope), is_member=lambda _: False, wall=WALL)
    assert stranger.verdict is Verdict.IGNORE
    assert len(book) == 0


def test_no_more_signers_are_remembered_than_there_may_be_members(
    book: CommitmentBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MEMBERS_KEPT_MAX", 2)
    for signer in (1, 2, 3):
        hear(book, signed(signer=signer))
    known = [book.latest(peer_id(signer), wall=WALL) is not None for signer in (1, 2, 3)]
    assert known == [False, True, True]


# ------------------------------------------------------------------------------------------------- two for one


def test_two_for_one_epoch_convict_their_signer_before_anybody(book: CommitmentBook) -> None:
    one, other = signed(), signed(count=1)
    hear(book, one)
    heard = hear(book, other)
    assert heard.verdict is Verdict.IGNORE  # The evidence travels.
    assert heard.contradiction == contradiction_of(other, one)
    assert heard.contradiction is not None
    found = open_evidence(heard.contradiction, network=NETWORK)
    assert (found.accused, found.about, found.kind_text) == (peer_id(SIGNER), f"epoch {EPOCH}", "two commitments")
    assert (found.blob_id, found.shard, found.signed_about) == (None, None, EPOCH * EPOCH_S)
    assert found.name == conviction_name(peer_id(SIGNER), EvidenceKind.TWO_COMMITMENTS)
    assert "0 pairs under root" in found.reason
    assert hear(book, signed(count=2)).contradiction is None  # Once is enough.
    assert hear(book, one).contradiction is None


def test_what_is_forged_is_no_contradiction(book: CommitmentBook) -> None:
    hear(book, signed())
    forged = replace(signed(count=1).envelope, signature=Signature(bytes(64)))
    heard = book.hear(encode(forged), is_member=lambda _: True, wall=WALL)
    assert (heard.verdict, heard.contradiction) == (Verdict.REJECT, None)


def evidence_of(*statements: Signed[Commitment]) -> Evidence:
    """Return what says that these contradict each other, whether they do or not."""
    return Evidence(kind=EvidenceKind.TWO_COMMITMENTS, statements=tuple(each.envelope for each in statements))


def test_what_is_not_two_different_ones_of_one_signer_for_one_epoch_convicts_nobody() -> None:
    one, other = sorted((signed(), signed(count=1)), key=lambda each: each.digest)
    open_evidence(evidence_of(one, other), network=NETWORK)
    for each in (
        evidence_of(other, one),  # One contradiction is one piece, in one order.
        evidence_of(one, one),
        evidence_of(*sorted((one, signed(EPOCH + 1)), key=lambda each: each.digest)),
        evidence_of(*sorted((one, signed(count=1, signer=2)), key=lambda each: each.digest)),
    ):
        with pytest.raises(PeerFaultError, match="do not contradict"):
            open_evidence(each, network=NETWORK)
    with pytest.raises(PeerFaultError, match="with 1 statement"):
        open_evidence(evidence_of(one), network=NETWORK)
    with pytest.raises(PeerFaultError, match="nobody signed"):
        open_evidence(evidence_of(one, other), network="another")
