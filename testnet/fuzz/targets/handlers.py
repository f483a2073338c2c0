"""The request and gossip handlers of a whole node, from the bytes of a stream to what lies on its disk afterwards.

After any input the handler has answered, refused with a typed answer, or closed the stream; no task is left, the space
accounted is the space used, and what was promised to an honest owner before is still served.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

import trio

import p2pnode.network.request_server
import p2pnode.protocols.audit_receipts
import p2pnode.protocols.audit_targets
import p2pnode.protocols.challenge
import p2pnode.protocols.heads
import p2pnode.protocols.repair.serving
import p2pnode.protocols.successions
import p2pnode.protocols.sync
import p2pnode.services.announce
import p2pnode.services.evidence
import p2pnode.services.keep
import p2pnode.services.losses
import p2pnode.services.membership
import p2pnode.services.owner_server
import p2pnode.services.prove
import p2pnode.services.reach
import p2pnode.services.serve_reads
import p2pnode.services.serve_repair
import p2pnode.services.sync
import p2pnode.services.take_over
import p2pnode.storage.leasing
import p2pnode.storage.page_store
import p2pnode.storage.writer
from p2pnode.protocols.certificates import make_certificate
from p2pnode.protocols.renewal import make_tombstone
from p2pnode.protocols.successions import make_succession
from p2pnode.seams import Verdict
from p2pnode.services.reach import ANSWER_S
from testnet.fuzz import honest, honest_audit, honest_repair
from testnet.fuzz.fakes import FakeStream
from testnet.fuzz.node import NodeUnderTest, running
from testnet.fuzz.target import BrokenPromiseError, Check, Mutate, Target
from testnet.fuzz.targets.texts import ADDRESSES
from testnet.fuzz.targets.wire_types import edited_tree
from testnet.fuzz.values import KEYS, NETWORK, PUBLIC_KEYS, value_editor
from testnet.fuzz.watch import Watch, watched
from wire import limits
from wire.audit_receipts import Countersignature
from wire.challenges import Absent, Proven
from wire.codec import decode, encode
from wire.evidence import EvidenceList, VerdictHeard
from wire.framing import frame
from wire.ids import BlobId, LeaseTarget, PublicKey
from wire.inconsistency import InconsistencyHeard
from wire.messages import (
    BlobRecord,
    Certified,
    Certify,
    Committed,
    CompareSets,
    DialBack,
    DialledBack,
    ExchangePage,
    GetOwnRecord,
    GetRecord,
    GetSliver,
    ListPages,
    Members,
    NoRecord,
    OwnRecord,
    PageExchanged,
    Pages,
    RefusalCode,
    Refused,
    SetsCompared,
    SliverData,
    Stored,
    payload_bytes,
)
from wire.ownership import (
    Buried,
    Bury,
    CatalogueHead,
    GetHead,
    GetSuccession,
    HeadKept,
    KeepHead,
    KeepSuccession,
    SuccessionKept,
)
from wire.records import Envelope, RecordBundle
from wire.repair import LossNoted, RecoveredSymbols, TakenOver
from wire.signed import sign_record

SPARE_TASKS = 60
"""Tasks that a node has besides the lasting ones: dials to members that it heard of."""

LOOK_EVERY = 20
"""Inputs between two looks at the disk."""

_INPUTS = 20_000
_MEMORY_BYTES = 4 * 1024 * 1024
"""A simulated disk and its database in memory take part in what an input costs."""

_ANSWER_S = 10 * ANSWER_S
_ANSWERS: dict[str, tuple[type[Any], ...]] = {
    "store": (Stored, Committed, Certified),
    "read": (BlobRecord, NoRecord, SliverData),
    "members": (Members, OwnRecord),
    "reach": (DialledBack,),
    "owner": (HeadKept, Buried, SuccessionKept),
    "sync": (SetsCompared, Pages, PageExchanged),
    "audit": (Proven, Absent, Countersignature, VerdictHeard, EvidenceList, InconsistencyHeard),
    "repair": (RecoveredSymbols, LossNoted, TakenOver),
}
_REQUESTS: dict[str, tuple[type[Any], ...]] = {
    "store": p2pnode.services.keep.REQUESTS,
    "read": p2pnode.services.serve_reads.REQUESTS,
    "members": p2pnode.services.membership.REQUESTS,
    "reach": p2pnode.services.reach.REQUESTS,
    "owner": p2pnode.services.owner_server.REQUESTS,
    "sync": p2pnode.services.sync.REQUESTS,
    "audit": (*p2pnode.services.prove.REQUESTS, *p2pnode.services.evidence.REQUESTS),
    "repair": (*p2pnode.services.serve_repair.REQUESTS, *p2pnode.services.take_over.REQUESTS),
}
_PROMISED = 3
"""The shard that the node keeps for an honest owner before anything else."""


def targets() -> list[Target]:
    """Return the targets of this file."""
    services, storage = p2pnode.services, p2pnode.storage
    modules: dict[str, tuple[Any, ...]] = {
        "store": (services.keep, p2pnode.network.request_server, storage.writer, storage.leasing),
        "read": (services.serve_reads,),
        "members": (services.membership,),
        "reach": (services.reach,),
        "owner": (services.owner_server, p2pnode.protocols.heads, p2pnode.protocols.successions),
        "sync": (services.sync, p2pnode.protocols.sync, storage.page_store),
        "audit": (
            services.prove,
            services.evidence,
            p2pnode.protocols.challenge,
            p2pnode.protocols.audit_targets,
            p2pnode.protocols.audit_receipts,
        ),
        "repair": (services.serve_repair, services.take_over, services.losses, p2pnode.protocols.repair.serving),
    }
    return [
        *(_handler(name, modules[name]) for name in _REQUESTS),
        _gossip("members", services.membership, [encode(honest.member(number).envelope) for number in range(1, 7)]),
        _gossip(
            "announcements", services.announce, [encode(honest.announcements(number, 3)) for number in range(1, 7)]
        ),
    ]


def _handler(name: str, modules: tuple[Any, ...]) -> Target:
    return Target(
        name=f"handler/{name}",
        open=partial(_serving, name),
        errors=(),
        seeds=lambda _rng: [bytes([1]) + each for each in _requests()[name]],
        modules=modules,
        mutate=_edited_stream(*_REQUESTS[name]),
        inputs_max=_INPUTS,
        memory_base_bytes=_MEMORY_BYTES,
        cpu_s_max=0.5,
    )


@cache
def _requests() -> dict[str, list[bytes]]:
    """Return honest streams of each protocol."""
    blobs = [honest.honest_blob(number, size=300 * (number + 1)) for number in range(4)]
    pairs = [blob.store_pair(shard) for blob in blobs for shard in range(2)]
    stores = [frame(request) + payload for request, payload in pairs]
    commits = [frame(blob.commit(shard)) for blob in blobs for shard in range(2)]
    blob = blobs[0]
    reads = [frame(GetRecord(blob_id=each.blob_id, wants_certificates=True)) for each in blobs]
    reads += [frame(GetSliver(blob_id=blob.blob_id, axis=axis, index=k)) for axis in range(2) for k in range(honest.N)]
    return {
        "store": [*stores, *(one + two for one, two in zip(stores, commits, strict=True)), *commits,
                  stores[0] + commits[0] + frame(_our_certificate())],
        "read": [*reads, b"".join(reads)],
        "members": [frame(GetOwnRecord()), *(frame(honest.exchange(number)) for number in range(5))],
        "owner": [frame(KeepHead(head=_head(number))) for number in range(1, 4)]
        + [frame(GetHead(owner=PublicKey(honest.OWNER.public)))]
        + [frame(Bury(tombstone=_tombstone(blobs[1])))]
        + [frame(KeepSuccession(succession=_succession())), frame(GetSuccession(owner=PublicKey(honest.OWNER.public)))],
        "audit": honest_audit.streams(),
        "repair": [frame(honest_repair.recover_symbols(shard)) for shard in range(honest.N)]
        + [frame(honest_repair.tell_loss(shard)) for shard in range(2)]
        + [frame(honest_repair.take_over(shard)) for shard in range(2)],
        "sync": [frame(CompareSets(digest=bytes(8))), frame(ListPages(buckets=tuple(range(0, 256, 5)), after=None))]
        + [frame(honest.page_records(number)) for number in range(4)]
        + [frame(_our_promise())],
        "reach": [frame(DialBack(addresses=ADDRESSES[:count])) for count in range(4)]
        + [frame(DialBack(addresses=(f"/ip4/20.0.{honest.peer_id(1)[-1]}.7/tcp/4710",)))],
    }  # fmt: skip


def _head(number: int) -> Envelope:
    """Return a head of the honest owner's catalogue."""
    head = CatalogueHead(
        sequence=number, time=honest.WALL, end=honest.WALL + 1000, kind=0, blob_id=BlobId(bytes([number]) * 32)
    )
    return sign_record(head, key=honest.OWNER, network=NETWORK).envelope


def _succession() -> Envelope:
    """Return that another key has succeeded the honest owner's."""
    return make_succession(honest.OWNER, KEYS[5], time=honest.WALL, network=NETWORK).envelope


def _tombstone(blob: honest.HonestBlob) -> Envelope:
    """Return the honest owner's end of its lease on a blob."""
    target = LeaseTarget(blob.blob_id)
    return make_tombstone(honest.OWNER, target, sequence=2, time=honest.WALL, network=NETWORK).envelope


@cache
def _our_certificate() -> Certify:
    """Return a certificate that names a pair of the node under test."""
    blob = honest.honest_blob(size=300)
    others = [honest.holder_receipts(blob.final, blob.page, shard, shard) for shard in (1, 2)]
    rows = [honest_audit.our_receipts(), *others]
    return Certify(certificate=make_certificate(honest.OWNER, blob.final, blob.page, rows, network=NETWORK).envelope)


def _our_promise() -> ExchangePage:
    """Return a page that shows the node a receipt in its own name."""
    page = honest.page_records(0).page
    bundle = RecordBundle(certificates=(_our_certificate().certificate,), holders=(), retractions=())
    return ExchangePage(page=page, has=(), records=bundle)


def _edited_stream(*kinds: type[Any]) -> Mutate:
    """Change the first message of a stream, keep its payload's length right, and perhaps ask somebody else's way."""
    edit_value = value_editor(*kinds)

    def mutate(rng: random.Random, data: bytes) -> bytes:
        head, rest = data[:1], data[1:]
        size = int.from_bytes(rest[:4], "big")
        body, tail = rest[4 : 4 + size], rest[4 + size :]
        body = (edited_tree if rng.random() < 0.15 else edit_value)(rng, body)  # noqa: PLR2004 - mostly values
        if rng.random() < 0.1:  # noqa: PLR2004 - rarely another asker
            head = bytes([rng.randrange(12)])
        if tail and rng.random() < 0.1:  # noqa: PLR2004 - rarely the payload, or the next message
            position = rng.randrange(len(tail))
            tail = tail[:position] + bytes([tail[position] ^ 1]) + tail[position + 1 :]
        return head + len(body).to_bytes(4, "big") + body + tail

    return mutate


@asynccontextmanager
async def _watched(seed: int) -> AsyncIterator[tuple[NodeUnderTest, Watch]]:
    """Run a node that has made a promise already."""
    with watched() as watch:
        async with running(seed) as made:
            request, payload = honest.honest_blob(100, size=700).store_pair(_PROMISED)
            await _ask(made, "store", 2, frame(request) + payload)
            yield made, watch


@asynccontextmanager
async def _serving(name: str, rng: random.Random) -> AsyncIterator[Check]:
    async with _watched(rng.getrandbits(32)) as (made, watch):
        if name in ("read", "sync", "audit"):  # Only what is there can be asked for in a wrong way.
            for request in _requests()["store"]:
                await _ask(made, "store", 1, request)
        if name == "audit":  # Only members are heard about audits.
            await _ask(made, "members", honest_audit.ASKER, frame(honest.exchange(honest_audit.ASKER)))
        tasks = trio.lowlevel.current_statistics().tasks_living
        inputs = 0

        async def check(data: bytes) -> str:
            nonlocal inputs
            inputs += 1
            answers = await _ask(made, name, data[0] % 12 if data else 0, data[1:])
            watch.raise_what_was_logged()
            assert trio.lowlevel.current_statistics().tasks_living <= tasks + SPARE_TASKS
            if inputs % LOOK_EVERY == 0:
                made.check()
                await _check_promise(made)
            return " ".join(answers[:3])

        yield check


async def _ask(made: NodeUnderTest, name: str, asker: int, data: bytes) -> list[str]:
    """Serve one stream to its end; return what was answered."""
    stream = FakeStream(honest.peer_id(asker), data)
    with trio.fail_after(_ANSWER_S):
        await made.network.handlers[name](stream)
    assert stream.is_closed != stream.is_reset, "a stream is neither closed nor reset"
    answers = _answers(b"".join(stream.answers), name)
    return [*answers, "closed" if stream.is_closed else "reset"]


def _answers(data: bytes, name: str) -> list[str]:
    """Return what was said; every answer is whole, and one of those that the protocol has."""
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        message = decode(data[4 : 4 + size], *_ANSWERS[name], Refused, bytes_max=limits.MESSAGE_BYTES_MAX)
        rest = 4 + size + payload_bytes(message)
        assert rest <= len(data), "an answer that was cut short"
        data = data[rest:]
        is_refusal = isinstance(message, Refused)
        found.append(f"Refused {RefusalCode(message.code).name}" if is_refusal else type(message).__name__)
    return found


async def _check_promise(made: NodeUnderTest) -> None:
    """The honest owner's pair is still there, as it was."""
    blob = honest.honest_blob(100, size=700)
    primary = blob.payload(_PROMISED)[0]
    for pair in range(honest.N):
        question = GetSliver(blob_id=blob.blob_id, axis=0, index=pair)
        stream = FakeStream(honest.peer_id(2), frame(question))
        await made.network.handlers["read"](stream)
        if primary in b"".join(stream.answers):
            return
    raise BrokenPromiseError("a pair that the node signed for is not served any more")


def _gossip(topic: str, module: Any, seeds: list[bytes]) -> Target:  # noqa: ANN401 - a module
    @asynccontextmanager
    async def open_target(rng: random.Random) -> AsyncIterator[Check]:
        async with _watched(rng.getrandbits(32)) as (made, watch):

            async def check(data: bytes) -> str:
                verdict = made.network.topics[topic](honest.peer_id(3), data)
                assert isinstance(verdict, Verdict)
                await trio.sleep(0.001)
                watch.raise_what_was_logged()
                assert len(made.node.peers()) <= len(PUBLIC_KEYS)
                return verdict.value

            yield check

    return Target(
        name=f"handler/gossip-{topic}",
        open=open_target,
        errors=(),
        seeds=lambda _rng: seeds,
        modules=(module,),
        mutate=value_editor(Envelope),
        inputs_max=_INPUTS,
        memory_base_bytes=_MEMORY_BYTES,
    )
