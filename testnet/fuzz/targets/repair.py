"""Targets of repair: intents of strangers, the symbols with which a holder answers, and proofs against blobs."""

from __future__ import annotations

import random
from functools import cache

import p2pnode.protocols.inconsistency
import p2pnode.protocols.repair.exchange
from p2pnode.coding import InconsistencyProof, find_inconsistency, symbol_with_proof, verify_sliver
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.inconsistency import Contradiction, check_contradiction, contradiction_of
from p2pnode.protocols.repair.exchange import open_intent, read_answer
from testnet.fuzz import honest, honest_repair
from testnet.fuzz.target import Mutate, Target, plain
from testnet.fuzz.targets.protocols import framed
from testnet.fuzz.targets.wire_types import FRAMING, tree_or_value
from testnet.fuzz.values import NETWORK, PUBLIC_KEYS, value_editor
from testnet.sim.habits.crooked_blobs import crooked_blob
from wire import limits
from wire.codec import decode, encode
from wire.errors import WireError
from wire.framing import frame
from wire.ids import Axis
from wire.inconsistency import InconsistentBlob
from wire.records import Envelope
from wire.repair import RecoveredSymbols

_TREES = 0.2
_PAYLOADS = 0.3


def targets() -> list[Target]:
    """Return the targets of this file."""
    modules = (p2pnode.protocols.repair.exchange,)
    return [
        Target(
            name="protocols/repair-intent",
            open=plain(_intent),
            errors=(WireError, PeerFaultError),
            seeds=lambda _rng: [encode(honest_repair.recover_symbols(shard).intent) for shard in range(honest.N)],
            modules=modules,
            mutate=_edited_intent(),
            framing=FRAMING,
        ),
        Target(
            name="protocols/recovered-symbols",
            open=plain(_symbols),
            errors=(WireError, PeerFaultError),
            seeds=lambda _rng: [frame(honest_repair.recovered_symbols()[0]) + honest_repair.recovered_symbols()[1]],
            modules=modules,
            mutate=_edited_frame(RecoveredSymbols),
            framing=FRAMING,
        ),
        Target(
            name="protocols/inconsistent-blob",
            open=plain(_inconsistent),
            errors=(WireError, PeerFaultError),
            seeds=lambda _rng: [_sent(proof) for proof in (_against_crooked(), *_against_honest())],
            modules=(p2pnode.protocols.inconsistency,),
            mutate=_edited_frame(InconsistentBlob),
            framing=FRAMING,
        ),
    ]


def _edited_intent() -> Mutate:
    edit_value, edit_tree = value_editor(Envelope), tree_or_value(Envelope)
    return lambda rng, data: (edit_tree if rng.random() < _TREES else edit_value)(rng, data)


def _edited_frame(kind: type[object]) -> Mutate:
    """Change the message of a frame, or the symbols behind it."""
    edit = value_editor(kind)

    def edited(rng: random.Random, data: bytes) -> bytes:
        size = int.from_bytes(data[:4], "big")
        body, payload = data[4 : 4 + size], bytearray(data[4 + size :])
        if payload and rng.random() < _PAYLOADS:
            payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        else:
            body = edit(rng, body)
        return len(body).to_bytes(4, "big") + body + bytes(payload)

    return edited


def _intent(data: bytes) -> str:
    envelope = decode(data, Envelope, bytes_max=limits.MESSAGE_BYTES_MAX)
    signed = open_intent(envelope, network=NETWORK, wall=honest.WALL)
    assert signed.signer in PUBLIC_KEYS
    assert len(set(signed.record.blob_ids)) == len(signed.record.blob_ids) <= limits.REPAIR_BLOBS_MAX
    return "an intent"


def _symbols(data: bytes) -> str:
    """Whatever is taken of an answer is what an honest holder has given."""
    message, payload = framed(data, RecoveredSymbols)
    asks, recovery = honest_repair.asked_symbols()
    good, wrong = read_answer(message, payload, asks, [recovery])
    truth = honest_repair.true_symbols()
    assert all(symbol == truth[ask] for ask, symbol in good), "a symbol that was never encoded"
    assert len(good) + len(wrong) == len(message.symbols)
    return f"{len(good)} good, {len(wrong)} wrong"


def _inconsistent(data: bytes) -> str:
    """Whatever is made of a proof against one blob, nobody proves anything against a blob of an honest writer."""
    message, symbols = framed(data, InconsistentBlob)
    crooked = _against_crooked()
    is_crooked = message.metadata == crooked.message.metadata
    check_contradiction(message, symbols, crooked.blob_id if is_crooked else honest.honest_blob().blob_id)
    assert is_crooked, "an honest writer is convicted"
    return "proven"


@cache
def _against_crooked() -> Contradiction:
    """Return the proof against a blob whose primary slivers are noise."""
    chance = random.Random(1)
    crooked = crooked_blob(chance.randbytes(1000), honest.N, chance, bad_slivers=honest.N)
    slivers = [
        verify_sliver(crooked.metadata, Axis.PRIMARY, index, crooked.slivers[Axis.PRIMARY, index])
        for index in range(honest.N)
    ]
    return contradiction_of(crooked.metadata, find_inconsistency(crooked.metadata, slivers))


def _against_honest() -> list[Contradiction]:
    """Return claims against an honest writer, as well formed as a true proof."""
    blob = honest.honest_blob()
    metadata = blob.encoded.metadata
    made = []
    for index in range(honest.N):
        symbols = tuple(
            symbol_with_proof(metadata, blob.encoded.sliver(Axis.SECONDARY, source), index)
            for source in range(len(_against_crooked().message.symbols))
        )
        made.append(contradiction_of(metadata, InconsistencyProof(Axis.PRIMARY, index, symbols)))
    return made


def _sent(proof: Contradiction) -> bytes:
    return frame(proof.message) + proof.symbols
