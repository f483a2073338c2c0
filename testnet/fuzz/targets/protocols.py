"""The checks below the line: what each side of an exchange makes of a decoded value."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from types import ModuleType
from typing import Any

import p2pnode.membership.table
import p2pnode.protocols.certificates
import p2pnode.protocols.challenge
import p2pnode.protocols.gossip
import p2pnode.protocols.leases
import p2pnode.protocols.members
import p2pnode.protocols.reach
import p2pnode.protocols.receipts
import p2pnode.protocols.refusal
import p2pnode.protocols.store
from crypto.signing import BadSignatureError
from p2pnode.config import PUBLIC
from p2pnode.errors import PeerFaultError
from p2pnode.membership.table import MemberTable
from p2pnode.protocols.certificates import check_certificate, check_is_ours
from p2pnode.protocols.challenge import check_proof, open_challenge
from p2pnode.protocols.gossip import ANNOUNCEMENTS, MEMBERS, SIGNERS_MAX, GossipGate, GossipKind
from p2pnode.protocols.members import check_member_record, make_candidates, members_page
from p2pnode.protocols.reach import (
    ASKERS_MAX,
    OBSERVED_MAX,
    DialBackBudget,
    Origin,
    Sighting,
    confirmed_ips,
    count_outcomes,
    may_dial_back,
    observed_candidates,
    overall,
    worth_checking,
)
from p2pnode.protocols.receipts import check_batch_from, check_receipt, pairs_of
from p2pnode.protocols.refusal import RefusalError
from p2pnode.protocols.store import check_commit, check_store_pair
from p2pnode.seams import Verdict
from testnet.fuzz import honest
from testnet.fuzz.target import Check, Mutate, Target, plain
from testnet.fuzz.targets.texts import ADDRESSES, edited_text, text_of
from testnet.fuzz.targets.wire_types import FRAMING, tree_or_value
from testnet.fuzz.values import NETWORK, PUBLIC_KEYS, random_value, value_editor
from wire import limits
from wire.challenges import Challenge, StorageProof
from wire.codec import decode, encode
from wire.errors import WireError
from wire.framing import frame
from wire.ids import PeerId, ShardIndex
from wire.messages import (
    CommitLease,
    Committed,
    DialBack,
    DialledBack,
    ExchangeMembers,
    Members,
    RefusalCode,
    StorePair,
    payload_bytes,
)
from wire.records import Envelope, Receipt

_PAYLOAD_BYTES_MAX = 1 << 16
"""A longer payload takes longer to hash, and finds nothing else."""


def targets() -> list[Target]:
    """Return the targets of this file."""
    modules = p2pnode.protocols
    return [
        Target(
            name="protocols/store-pair",
            open=plain(_store_pair),
            errors=(WireError, RefusalError),
            seeds=lambda _rng: [_request(shard) for shard in range(honest.N)],
            modules=(modules.store, modules.leases),
            mutate=edited_request,
            framing=FRAMING,
        ),
        _of_value("commit-lease", CommitLease, _commit, (RefusalError, WireError), modules.store, modules.leases),
        _of_value("certificate", Envelope, _certificate, (PeerFaultError, RefusalError), modules.certificates),
        _of_value("receipt", Receipt, _receipt, (PeerFaultError,), modules.receipts),
        _of_value("challenge", Challenge, _challenge, (PeerFaultError,), modules.challenge),
        _of_value("storage-proof", StorageProof, _storage_proof, (PeerFaultError,), modules.challenge),
        _of_value("receipt-batch", Committed, _batch, (PeerFaultError,), modules.receipts),
        _of_value("dial-back", DialBack, _dial_back, (), modules.reach),
        _of_value("dialled-back", DialledBack, _dialled_back, (), modules.reach),
        _members(),
        _gossip("members", MEMBERS, [encode(honest.member(number).envelope) for number in range(1, 7)]),
        _gossip("announcements", ANNOUNCEMENTS, [encode(honest.announcements(number, 3)) for number in range(1, 7)]),
        Target(
            name="protocols/refusal",
            open=plain(_refusal),
            errors=(),
            seeds=lambda _rng: [b"shard 3 is not here", "\u202eétwas\n".encode() * 60],
            modules=(modules.refusal,),
            mutate=edited_text,
        ),
    ]


def _of_value(
    name: str,
    kind: type[Any],
    check: Callable[[Any], object],
    errors: tuple[type[Exception], ...],
    *modules: ModuleType,
) -> Target:
    """Return a target that checks decoded values of one wire type."""

    def decoded(data: bytes) -> object:
        return check(decode(data, kind, bytes_max=limits.MESSAGE_BYTES_MAX))

    return Target(
        name=f"protocols/{name}",
        open=plain(decoded),
        errors=(WireError, *errors),
        seeds=partial(_values, kind),
        modules=modules,
        mutate=_mostly_values(kind),
        framing=FRAMING,
    )


def _values(kind: type[Any], rng: random.Random) -> list[bytes]:
    blob = honest.honest_blob()
    made: dict[type[Any], list[object]] = {
        CommitLease: [blob.commit(0), honest.file_commit(3), honest.file_commit(300)],
        Envelope: [blob.certificate(1, 2, 3).envelope, honest.file_certificate(3).envelope],
        Receipt: [blob.receipt(shard) for shard in range(3)],
        Committed: [Committed(batch=blob.certificate(1).record.holders[0].batch)],
        Challenge: [honest.challenge(blob, shard) for shard in range(3)],
        StorageProof: [honest.storage_proof(blob, shard) for shard in range(3)],
        DialBack: [DialBack(addresses=ADDRESSES), DialBack(addresses=())],
        DialledBack: [DialledBack(outcomes=(0, 1, 2, 3), seen_at=ADDRESSES[0]), DialledBack(outcomes=(), seen_at="")],
    }
    return [encode(each) for each in (*made[kind], random_value(kind, rng))]


def _mostly_values(*kinds: type[object]) -> Mutate:
    """Change values within their shapes, and now and then as trees: what the codec refuses is not for the checks."""
    edit_value, edit_tree = value_editor(*kinds), tree_or_value(*kinds)
    return lambda rng, data: (edit_tree if rng.random() < 0.2 else edit_value)(rng, data)  # noqa: PLR2004 - see above


# A pair to keep: a frame, then its payload.


def _request(shard: int) -> bytes:
    request, payload = honest.honest_blob().store_pair(shard)
    return frame(request) + payload


def edited_request(rng: random.Random, data: bytes) -> bytes:
    """Change the message of a frame, or the payload behind it."""
    size = int.from_bytes(data[:4], "big")
    body, payload = data[4 : 4 + size], bytearray(data[4 + size :])
    if payload and rng.random() < 0.3:  # noqa: PLR2004 - mostly the message
        payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
    else:
        body = _EDIT_STORE_PAIR(rng, body)
    return len(body).to_bytes(4, "big") + body + bytes(payload)


_EDIT_STORE_PAIR = _mostly_values(StorePair)


def framed(data: bytes, *kinds: type[Any]) -> tuple[Any, bytes]:
    """Return the message of an input and the payload that it announces, cut or filled up to its length."""
    size = int.from_bytes(data[:4], "big")
    message = decode(data[4 : 4 + size], *kinds, bytes_max=limits.MESSAGE_BYTES_MAX)
    wanted = payload_bytes(message)
    if wanted > _PAYLOAD_BYTES_MAX:
        raise WireError("a payload that is too long for this target")
    payload = data[4 + size :][:wanted]
    return message, payload + bytes(wanted - len(payload))


def _store_pair(data: bytes) -> str:
    request, payload = framed(data, StorePair)
    checked = check_store_pair(request, payload, network=NETWORK, wall=honest.WALL)
    assert checked.shard < request.metadata.n
    assert bytes(checked.primary.data) + bytes(checked.secondary.data) == payload
    assert all(lease.record.end > honest.WALL for lease in checked.leases)
    return "taken"


def _commit(request: CommitLease) -> str:
    lease = check_commit(request, network=NETWORK, wall=honest.WALL)
    pairs = list(pairs_of(request.page, request.shard_sets))
    assert len(set(pairs)) == len(pairs) <= limits.RECEIPT_BATCH_MAX
    assert all(shard < lease.record.n for _, shard in pairs)
    return "taken"


def _certificate(envelope: Envelope) -> str:
    checked = check_certificate(envelope, network=NETWORK)
    assert checked.signed.signer == checked.lease.signer
    for blob_id in checked.page.blob_ids:
        shards = checked.shards(blob_id)
        assert 3 * len(shards) >= 2 * checked.lease.record.n
        assert all(0 <= shard < checked.lease.record.n for shard in shards)
    check_is_ours(checked, own=honest.peer_id(1), asker=honest.peer_id(5))
    return "certified"


def _receipt(receipt: Receipt) -> str:
    signed = check_receipt(receipt, network=NETWORK)
    assert signed.signer in PUBLIC_KEYS
    return "a receipt"


def _challenge(challenge: Challenge) -> str:
    question = open_challenge(challenge, challenger=honest.peer_id(2), network=NETWORK)
    assert question.batch.signer in PUBLIC_KEYS
    return "a challenge"


def _storage_proof(proof: StorageProof) -> str:
    check_proof(proof, prover=honest.peer_id(1), network=NETWORK)
    assert proof.blob_id == honest.honest_blob().blob_id, "nobody proves a blob that was never encoded"
    return "a proof"


def _batch(message: Committed) -> str:
    """Only the holder's own signature for these very pairs counts."""
    blob = honest.honest_blob()
    pairs = [(blob.blob_id, ShardIndex(0))]
    signed = check_batch_from(message.batch, blob.final, pairs, network=NETWORK, holder=honest.peer_id(1))
    assert (signed.record.count, signed.record.lease) == (1, blob.final.digest)
    return "a batch"


# Members and gossip: what is remembered is bounded.


def _members() -> Target:
    """Member records that come from a peer, into a table; it stays bounded, and its answers fit a message."""
    kinds = (Envelope, Members, ExchangeMembers)

    @asynccontextmanager
    async def open_target(_rng: random.Random) -> AsyncIterator[Check]:
        table = MemberTable(honest.peer_id(0), PUBLIC, started_at=0.0)
        own = honest.member(0)
        moments = count()

        async def check(data: bytes) -> str:
            now = float(next(moments))
            message: Any = decode(data, *kinds, bytes_max=limits.MESSAGE_BYTES_MAX)
            envelopes = message.records if isinstance(message, Members) else (getattr(message, "record", message),)
            taken = 0
            for envelope in envelopes:
                signed = check_member_record(envelope, network=NETWORK)
                taken += table.consider(signed, now=now, wall=honest.WALL)
                table.contact(signed.signer_peer, now=now, wall=honest.WALL, address=ADDRESSES[0])
            rows = [(peer_id, member.signed.envelope) for peer_id, member in table.members()]
            after = message.after if isinstance(message, ExchangeMembers) else None
            assert len(encode(members_page(rows, after=after))) <= limits.MESSAGE_BYTES_MAX
            candidates = make_candidates(own, table.fresh(now=now), domains=table.domains(wall=honest.WALL))
            assert all(1 / 4 <= candidate.weight <= 4 for candidate in candidates)  # noqa: PLR2004 - PROTOCOL section 3
            assert len(table) <= len(PUBLIC_KEYS)
            return f"{taken} taken"

        yield check

    def seeds(_rng: random.Random) -> list[bytes]:
        envelopes = tuple(honest.member(number).envelope for number in range(1, 5))
        return [encode(envelopes[0]), encode(honest.exchange(2)), encode(Members(records=envelopes, has_more=False))]

    return Target(
        name="protocols/members",
        open=open_target,
        errors=(WireError, BadSignatureError),
        seeds=seeds,
        modules=(p2pnode.protocols.members, p2pnode.membership.table),
        mutate=_mostly_values(*kinds),
        framing=FRAMING,
    )


def _gossip(name: str, kind: GossipKind[Any], seeds: list[bytes]) -> Target:
    """The gate never raises, and lets nothing through that is forged, old, or from the future."""

    @asynccontextmanager
    async def open_target(_rng: random.Random) -> AsyncIterator[Check]:
        gate = GossipGate(kind, network=NETWORK)
        moments = count()

        async def check(data: bytes) -> str:
            checked = gate.check(data, now=next(moments) / 10, wall=honest.WALL)
            assert (checked.verdict is Verdict.ACCEPT) == (checked.signed is not None)
            if checked.signed is not None:
                assert abs(checked.signed.record.time - honest.WALL) <= kind.age_seconds_max
                assert checked.signed.signer in PUBLIC_KEYS
            assert len(gate) <= min(SIGNERS_MAX, len(PUBLIC_KEYS))
            return f"{checked.verdict.value} {checked.reason}"

        yield check

    return Target(
        name=f"protocols/gossip-{name}",
        open=open_target,
        errors=(),
        seeds=lambda _rng: seeds,
        modules=(p2pnode.protocols.gossip,),
        mutate=_mostly_values(Envelope),
        framing=r"ok reject (not msgpack of ours|message: (expected|unknown)|[0-9]+ bytes)",
    )


# Being dialled.


def _dial_back(message: DialBack) -> str:
    """Nobody is dialled but the asker, and no name is resolved."""
    seen, record = frozenset({"20.1.2.3"}), ADDRESSES[:4]
    allowed = [
        address
        for address in message.addresses
        if may_dial_back(address, seen_ips=seen, record=record, allows_private=bool(len(message.addresses) % 2))
    ]
    recorded = worth_checking(record, allows_private=True)  # In one spelling: an address has several.
    others = [address for address in allowed if "/20.1.2.3/" not in address]
    assert all(worth_checking([address], allows_private=True)[0] in recorded for address in others)
    assert len(worth_checking(message.addresses, allows_private=True)) <= limits.DIAL_BACK_ADDRESSES_MAX
    budget = DialBackBudget()
    paid = sum(budget.take(bytes(PeerId(bytes(38))), len(allowed), now=0.0) for _ in range(3))
    assert len(budget) <= ASKERS_MAX
    return f"{len(allowed)} {paid}"


def _dialled_back(message: DialledBack) -> str:
    """An answer that does not fit the question says nothing."""
    asked = ADDRESSES[: len(message.outcomes)]
    routes = {address: (address,) for address in ADDRESSES[:4]}
    tallies = count_outcomes(routes, asked, [message], {ADDRESSES[0]: Origin.LISTENED})
    assert all(0 <= tally.reached <= tally.tried <= 1 for tally in tallies)
    sightings = [Sighting(domain=str(number), address=message.seen_at) for number in range(3)]
    seen = confirmed_ips(sightings, allows_private=True)
    assert len(observed_candidates(seen, ADDRESSES)) <= OBSERVED_MAX
    return f"{overall(tallies)} {len(seen)}"


def _refusal(data: bytes) -> None:
    """Whatever a reason says, the answer that carries it can be sent."""
    answer = RefusalError(RefusalCode.INVALID, text_of(data)).answer()
    assert frame(answer)
