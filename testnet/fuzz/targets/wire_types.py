"""The codec for each wire type, frames, and envelopes. Any bytes decode, or raise `WireError`."""

from __future__ import annotations

import random
from functools import partial

from crypto import signing
from crypto.signing import BadSignatureError
from testnet.fuzz import honest
from testnet.fuzz.plain import NotPlainError, edited, read_plain, write_plain
from testnet.fuzz.target import Mutate, Target, plain
from testnet.fuzz.values import (
    KEYS,
    NETWORK,
    SIGNED_KINDS,
    all_kinds,
    edited_value,
    random_value,
    tag_byte,
    value_editor,
)
from wire import codec, framing, limits, shapes, signed
from wire.codec import decode, encode
from wire.errors import WireError
from wire.framing import frame, message_bytes
from wire.messages import payload_bytes
from wire.records import Envelope
from wire.signed import open_envelope, sign_record

FRAMING = (
    r"ok cut short|WireError: (not msgpack of ours|message: (expected|unknown)|a message may have|a length prefix)"
)
"""Refused before any field is looked at."""

SEEDS = 6


def tree_or_value(*kinds: type[object]) -> Mutate:
    """Change an encoding as a tree of msgpack, or as a value that keeps every limit."""
    edit_value = value_editor(*kinds)

    def mutate(rng: random.Random, data: bytes) -> bytes:
        if rng.random() < 0.3:  # noqa: PLR2004 - a tree finds more in the codec
            return edit_value(rng, data)
        return edited_tree(rng, data)

    return mutate


def edited_tree(rng: random.Random, data: bytes) -> bytes:
    """Change msgpack at one or two places, and keep it msgpack but for a few spellings."""
    try:
        tree = read_plain(data)
    except NotPlainError:
        return data
    for _ in range(rng.choice((1, 1, 2))):
        tree = edited(rng, tree, tree)
    return write_plain(tree, rng if rng.random() < 0.3 else None)  # noqa: PLR2004 - mostly in our own spelling


def decodes(kinds: tuple[type[object], ...], data: bytes) -> object:
    """Decode; what decodes is written as the very same bytes."""
    value = decode(data, *kinds, bytes_max=limits.MESSAGE_BYTES_MAX)
    assert encode(value) == data, "two spellings of one value"
    assert payload_bytes(value) <= 2 * limits.SLIVER_BYTES_MAX
    return value


def encodings(kinds: tuple[type[object], ...], rng: random.Random) -> list[bytes]:
    """Return valid encodings of each kind."""
    return [encode(random_value(kind, rng)) for kind in kinds for _ in range(max(1, SEEDS // len(kinds)))]


def targets() -> list[Target]:
    """Return the targets of this file."""
    kinds = all_kinds()
    each = [_of_kinds(f"wire/{kind.__name__}", (kind,)) for kind in kinds]
    return [*each, _of_kinds("wire/any", kinds), _frames(kinds), _envelopes()]


def _of_kinds(name: str, kinds: tuple[type[object], ...]) -> Target:
    return Target(
        name=name,
        open=plain(partial(decodes, kinds)),
        errors=(WireError,),
        seeds=partial(encodings, kinds),
        modules=(codec, shapes),
        mutate=tree_or_value(*kinds),
        framing=FRAMING,
    )


def _frames(kinds: tuple[type[object], ...]) -> Target:
    """A length, then a message; what is announced is never more than a message may have."""

    def check(data: bytes) -> object:
        prefix = data[: limits.LENGTH_PREFIX_BYTES]
        count = message_bytes(prefix)
        assert 1 <= count <= limits.MESSAGE_BYTES_MAX
        body = data[limits.LENGTH_PREFIX_BYTES :][:count]
        if len(body) < count:
            return "cut short"  # Whoever reads a stream notices, and decodes nothing.
        value = decodes(kinds, body)
        assert frame(value) == data[: limits.LENGTH_PREFIX_BYTES + count]
        return value

    def seeds(rng: random.Random) -> list[bytes]:
        return [frame(random_value(kind, rng)) for kind in kinds]

    def mutate(rng: random.Random, data: bytes) -> bytes:
        body = edited_tree(rng, data[limits.LENGTH_PREFIX_BYTES :])
        return len(body).to_bytes(limits.LENGTH_PREFIX_BYTES, "big") + body

    return Target(
        name="wire/frames",
        open=plain(check),
        errors=(WireError,),
        seeds=seeds,
        modules=(codec, shapes, framing),
        mutate=mutate,
        framing=FRAMING,
    )


def _envelopes() -> Target:
    """An envelope of any record opens for one kind at most, and then its signature fits every bit of its body."""

    def check(data: bytes) -> object:
        envelope = decode(data, Envelope, bytes_max=limits.MESSAGE_BYTES_MAX)
        tag = tag_byte(envelope.body)
        fitting = [kind for kind in SIGNED_KINDS if tag == bytes([codec.tag_of(kind)])] or [SIGNED_KINDS[0]]
        opened = open_envelope(envelope, fitting[0], network=NETWORK)
        assert encode(opened.record) == envelope.body
        try:
            open_envelope(envelope, fitting[0], network="another")
        except BadSignatureError:
            return opened.record
        raise AssertionError("one signature counts in two networks")

    def seeds(rng: random.Random) -> list[bytes]:
        made = [sign_record(random_value(kind, rng), key=KEYS[0], network=NETWORK).envelope for kind in SIGNED_KINDS]
        return [encode(each) for each in (*made, honest.member(1).envelope, honest.honest_blob().final.envelope)]

    def mutate(rng: random.Random, data: bytes) -> bytes:
        try:
            return encode(edited_value(decode(data, Envelope, bytes_max=limits.MESSAGE_BYTES_MAX), rng))
        except WireError:
            return data

    return Target(
        name="signed/envelopes",
        open=plain(check),
        errors=(WireError, BadSignatureError),
        seeds=seeds,
        modules=(signed, signing, codec, shapes),
        mutate=mutate,
        framing=FRAMING,
    )
