"""Targets of repair: intents of strangers, and the symbols with which a holder answers."""

from __future__ import annotations

import random

import p2pnode.protocols.repair.exchange
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.repair.exchange import open_intent, read_answer
from testnet.fuzz import honest, honest_repair
from testnet.fuzz.target import Mutate, Target, plain
from testnet.fuzz.targets.protocols import framed
from testnet.fuzz.targets.wire_types import FRAMING, tree_or_value
from testnet.fuzz.values import NETWORK, PUBLIC_KEYS, value_editor
from wire import limits
from wire.codec import decode, encode
from wire.errors import WireError
from wire.framing import frame
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
            mutate=_edited_answer,
            framing=FRAMING,
        ),
    ]


def _edited_intent() -> Mutate:
    edit_value, edit_tree = value_editor(Envelope), tree_or_value(Envelope)
    return lambda rng, data: (edit_tree if rng.random() < _TREES else edit_value)(rng, data)


_EDIT_ANSWER = value_editor(RecoveredSymbols)


def _edited_answer(rng: random.Random, data: bytes) -> bytes:
    """Change the message of a frame, or the symbols behind it."""
    size = int.from_bytes(data[:4], "big")
    body, payload = data[4 : 4 + size], bytearray(data[4 + size :])
    if payload and rng.random() < _PAYLOADS:
        payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
    else:
        body = _EDIT_ANSWER(rng, body)
    return len(body).to_bytes(4, "big") + body + bytes(payload)


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
