"""Commitments: when a node may sign one, the secrets that it binds, and what others do with those that they hear.

Rules: two commitments of one signer for one epoch convict it, so a node signs for an epoch only once it is sure that it
never did, whatever became of its disk and its clock (`CommitGate`). A secret is bound an epoch before the commitment
that it is used on: so neither side steers what is asked, and anybody can check that later (PROTOCOL section 8).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from crypto.hashing import tagged_hash
from crypto.keys import SigningKey
from crypto.merkle import BadProofError, MerkleProof, MerkleTree, verify_proof
from crypto.peer_id import peer_id_of
from crypto.signing import BadSignatureError
from p2pnode.errors import PeerFaultError
from p2pnode.membership.clock_watch import ClockWatch
from p2pnode.protocols.entry_tree import EntryTree
from p2pnode.seams import Verdict
from wire import limits
from wire.codec import decode
from wire.commitments import Commitment, Reveal
from wire.errors import WireError
from wire.evidence import Evidence, EvidenceKind
from wire.ids import Digest, PeerId
from wire.records import Envelope
from wire.signed import Signed, open_decoded, sign_record

SECRETS_HEIGHT = 8
SECRETS = 1 << SECRETS_HEIGHT
"""Secrets bound for an epoch: a node with a hundred neighbours asks each twice. Who asks more asks with fresh ones."""

ANSWERED_EPOCHS = 2
"""A node answers for its last commitments, so many of them."""

KEPT_EPOCHS = ANSWERED_EPOCHS + 1
"""Commitments that are kept, ours and those of each member: what is asked on may be the last but one, while its signer
has not come to the next, and the secret was bound before it."""

COMMITMENT_BYTES_MAX = 512
"""The longest envelope with a commitment has about 250 bytes."""


def is_envelope(data: bytes) -> bool:
    """Tell whether gossip says that it is a commitment, whatever it is worth: evidence goes over the same topic."""
    try:
        decode(data, Envelope, bytes_max=COMMITMENT_BYTES_MAX)
    except WireError:
        return False
    return True


def epoch_of(wall: float, *, epoch_s: int) -> int:
    """Return the epoch of a wall clock's time."""
    return int(wall // epoch_s)


class CommitGate:
    """Decides when a node may sign for an epoch.

    Across lives it needs no memory: it waits until every epoch is over that an earlier life may have signed for, though
    that life's disk is lost or was put back and either clock was off by all that is tolerated.
    """

    def __init__(self, *, epoch_s: int, wait_s: float) -> None:
        """Sign nothing within `wait_s` of the first look."""
        self._epoch_s = epoch_s
        self._wait_s = wait_s
        self._watch = ClockWatch()
        self._since: float | None = None

    def due(self, *, last: int, lead_s: float | None, now: float, wall: float, asleep: float) -> int | None:
        """Return the epoch to sign for now, None for none.

        `last` is the highest that was signed for as far as is known, `lead_s` by how much our clock is ahead of the
        others', None without contact. A clock that was set, or that others disagree with, begins the wait anew.
        """
        is_wrong = lead_s is not None and abs(lead_s) > limits.CLOCK_SKEW_SECONDS
        if self._watch.was_set(now=now, wall=wall, asleep=asleep) or is_wrong or self._since is None:
            self._since = now
        epoch = epoch_of(wall, epoch_s=self._epoch_s)
        is_sure = lead_s is not None and now - self._since >= self._wait_s
        return epoch if is_sure and epoch > last else None


@dataclass(frozen=True, slots=True)
class BoundSecret:
    """A secret for one challenge."""

    number: int
    secret: Digest
    path: tuple[Digest, ...]


class SecretSheet:
    """The secrets that one commitment binds; each is used once."""

    def __init__(self, seed: bytes) -> None:
        """Derive all of them from some random bytes."""
        secrets = [tagged_hash(b"p2pnode/challenge secret", seed, bytes([number])) for number in range(SECRETS)]
        self._secrets = secrets
        self._tree = MerkleTree.from_leaves(secrets)
        self._next = 0

    @property
    def root(self) -> Digest:
        """What a commitment binds."""
        return Digest(self._tree.root)

    def take(self) -> BoundSecret | None:
        """Return the next secret; None when all are used."""
        number = self._next
        if number == SECRETS:
            return None
        self._next += 1
        path = tuple(map(Digest, self._tree.prove(number).siblings))
        return BoundSecret(number, Digest(self._secrets[number]), path)


def check_reveal(reveal: Reveal, commitment: Commitment, *, number: int, secret: Digest) -> None:
    """Check that a commitment of the asker bound the secret of a challenge. Raises `PeerFaultError`."""
    proof = MerkleProof(reveal.path)
    try:
        verify_proof(commitment.secrets, secret, index=number, leaf_count=SECRETS, proof=proof)
    except BadProofError as error:
        message = f"the secret of challenge {number} was not bound for epoch {commitment.epoch}: {error}"
        raise PeerFaultError(message) from error


def make_commitment(
    tree: EntryTree, *, epoch: int, time: int, secrets: Digest, key: SigningKey, network: str
) -> Signed[Commitment]:
    """Sign for an epoch; that it is signed for must be durable already."""
    record = Commitment(
        epoch=epoch, time=time, root=tree.root, count=tree.count, pair_bytes=tree.pair_bytes, secrets=secrets
    )
    return sign_record(record, key=key, network=network)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardCommitment:
    """What becomes of a commitment that came by gossip."""

    verdict: Verdict
    reason: str
    """For the log."""
    contradiction: Evidence | None = None
    """What convicts the signer: another one for the same epoch is known."""


@dataclass(slots=True)
class _Signer:
    kept: list[Signed[Commitment]]
    """At most KEPT_EPOCHS, the latest last."""
    has_contradicted: bool = False
    is_given_up: bool = False
    """Whether it does not answer for the last one."""


class CommitmentBook:
    """The last commitments of each member. Times are of the wall clock, in seconds."""

    def __init__(self, *, network: str, epoch_s: int) -> None:
        """Nothing was heard yet."""
        self._network = network
        self._epoch_s = epoch_s
        self._signers: OrderedDict[PeerId, _Signer] = OrderedDict()

    def __len__(self) -> int:
        """Return of how many signers something is kept."""
        return len(self._signers)

    def latest(self, peer_id: PeerId, *, wall: float) -> Signed[Commitment] | None:
        """Return the last commitment of a peer that it still answers for."""
        signer = self._signers.get(peer_id)
        if signer is None or signer.is_given_up or self._is_over(signer.kept[-1].record, wall):
            return None
        return signer.kept[-1]

    def give_up(self, peer_id: PeerId) -> None:
        """Take note that a peer does not answer for the last one: `latest` has none until the next one comes."""
        signer = self._signers.get(peer_id)
        if signer is not None:
            signer.is_given_up = True

    def find(self, peer_id: PeerId, digest: Digest) -> Signed[Commitment] | None:
        """Return one of the kept commitments of a peer; None when it is not among them."""
        signer = self._signers.get(peer_id)
        return next((each for each in signer.kept if each.digest == digest), None) if signer else None

    def hear(self, data: bytes, *, is_member: Callable[[PeerId], bool], wall: float) -> HeardCommitment:
        """Decide on gossip, from cheap to dear. Rejected is only what no honest peer passes on. Never raises."""
        try:
            envelope = decode(data, Envelope, bytes_max=COMMITMENT_BYTES_MAX)
            record = decode(envelope.body, Commitment, bytes_max=COMMITMENT_BYTES_MAX)
        except WireError as error:
            return _rejected(str(error))
        if epoch_of(record.time, epoch_s=self._epoch_s) != record.epoch:
            return _rejected(f"its time is not in epoch {record.epoch}")
        peer_id = PeerId(peer_id_of(envelope.signer))
        if not is_member(peer_id):
            return _ignored(f"{peer_id} is no member")
        if record.time > wall + limits.CLOCK_SKEW_SECONDS or self._is_over(record, wall):
            return _ignored(f"it is for epoch {record.epoch}")
        kept = self._signers.get(peer_id)
        if kept is not None and not _is_needed(kept, record):
            return _ignored("known already, or older than what is kept")
        try:
            signed = open_decoded(envelope, record, network=self._network)
        except BadSignatureError as error:
            return _rejected(str(error))
        return self._take(peer_id, kept, signed)

    def _take(self, peer_id: PeerId, known: _Signer | None, signed: Signed[Commitment]) -> HeardCommitment:
        signer = known or _Signer([])
        epoch = signed.record.epoch
        other = next((each for each in signer.kept if each.record.epoch == epoch), None)
        if other is not None:
            signer.has_contradicted = True
            return HeardCommitment(
                verdict=Verdict.IGNORE,  # The evidence travels instead, and says all.
                reason=f"{peer_id} has signed another one for epoch {epoch}",
                contradiction=contradiction_of(other, signed),
            )
        ordered = sorted([*signer.kept, signed], key=lambda each: each.record.epoch)
        signer.kept = ordered[-KEPT_EPOCHS:]
        signer.is_given_up &= signer.kept[-1] is not signed
        self._signers[peer_id] = signer
        self._signers.move_to_end(peer_id)
        if len(self._signers) > limits.MEMBERS_KEPT_MAX:
            self._signers.popitem(last=False)
        return HeardCommitment(verdict=Verdict.ACCEPT, reason="news")

    def _is_over(self, record: Commitment, wall: float) -> bool:
        """Tell whether its signer answers for it no more, whatever its clock says."""
        return (record.epoch + ANSWERED_EPOCHS) * self._epoch_s < wall - limits.CLOCK_SKEW_SECONDS


def _is_needed(signer: _Signer, record: Commitment) -> bool:
    """Tell whether a commitment is one that is not kept, and is not older than all that are."""
    if any(each.record == record for each in signer.kept):
        return False
    if any(each.record.epoch == record.epoch for each in signer.kept):
        return not signer.has_contradicted
    return len(signer.kept) < KEPT_EPOCHS or record.epoch > signer.kept[0].record.epoch


def contradiction_of(one: Signed[Commitment], other: Signed[Commitment]) -> Evidence:
    """Return the evidence that two commitments of one signer for one epoch are."""
    ordered = sorted((one, other), key=lambda each: each.digest)
    return Evidence(kind=EvidenceKind.TWO_COMMITMENTS, statements=tuple(each.envelope for each in ordered))


def _rejected(reason: str) -> HeardCommitment:
    return HeardCommitment(verdict=Verdict.REJECT, reason=reason)


def _ignored(reason: str) -> HeardCommitment:
    return HeardCommitment(verdict=Verdict.IGNORE, reason=reason)
