"""Random values of wire types, and edits of them that respect every shape and sign again what was signed.

Damaged bytes stop at the codec. To get at what stands behind it a value is changed field by field within its shape;
the body of an envelope is changed the same way and signed by the key that had signed it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, assert_never

from crypto.hashing import tagged_hash
from crypto.keys import SigningKey
from testnet.fuzz.mutator import INTERESTING, damaged
from wire import limits
from wire.audit_receipts import AuditReceipt
from wire.challenges import StorageProof
from wire.codec import Nested, OneOf, decode, encode, fields_of, tag_of, wire_types
from wire.commitments import Commitment
from wire.errors import WireError
from wire.ids import PublicKey
from wire.ownership import CatalogueHead, OwnedRecord, Succession
from wire.records import (
    AnnouncementBatch,
    Certificate,
    Envelope,
    Lease,
    MemberRecord,
    ReceiptBatch,
    Retraction,
    Tombstone,
)
from wire.repair import RepairIntent
from wire.shapes import Bool, Fixed, ListOf, Maybe, Packed, Raw, Shape, Text, UInt
from wire.signed import SignedRecord, sign_record

NETWORK = "fuzzed"
KEYS = tuple(SigningKey(tagged_hash(b"testnet/fuzz", bytes([number]))) for number in range(12))
"""Everybody's keys: an attacker has as many as he likes."""

PUBLIC_KEYS = tuple(PublicKey(key.public) for key in KEYS)
_KEY_OF = dict(zip(PUBLIC_KEYS, KEYS, strict=True))

SIGNED_KINDS: tuple[type[SignedRecord], ...] = (
    MemberRecord,
    Lease,
    ReceiptBatch,
    Retraction,
    Tombstone,
    Certificate,
    AnnouncementBatch,
    OwnedRecord,
    CatalogueHead,
    Succession,
    StorageProof,
    RepairIntent,
    Commitment,
    AuditReceipt,
)
_KIND_OF_TAG: dict[int, type[SignedRecord]] = {tag_of(kind): kind for kind in SIGNED_KINDS}

_LONG_ARRAY, _LONG_ARRAY_BYTES = b"\xdc", 3
"""How msgpack begins an array of more than 15 fields, and how many bytes its length takes."""

_LONG_TAG = b"\xcc"
"""How msgpack begins a number from 128 on."""

_ITEMS_MAX = 3
_BYTES_MAX = 300
_TEXTS = ("", "x", "main", "p2pnode/0.1.0", "/ip4/192.0.2.7/tcp/4710", "/dns4/a.b/tcp/1", "\u00e9\u20ac", "a" * 256)


def random_value(kind: type[Any], rng: random.Random) -> Any:  # noqa: ANN401 - a value of `kind`
    """Return a valid value of a wire type."""
    if kind is Envelope:
        return _random_envelope(rng)
    return kind(**{name: _random_field(shape, rng) for name, shape in fields_of(kind)})


def _random_envelope(rng: random.Random) -> Envelope:
    record = random_value(rng.choice((MemberRecord, Lease, ReceiptBatch, Retraction, Tombstone)), rng)
    return sign_record(record, key=rng.choice(KEYS), network=NETWORK).envelope


def _random_field(shape: Shape, rng: random.Random) -> object:
    known = UInt | Bool | Fixed | Packed | Raw | Text | ListOf | Maybe | Nested | OneOf
    assert isinstance(shape, known)
    match shape:
        case UInt():
            fitting = [number for number in INTERESTING if shape.low <= number <= shape.high]
            return rng.choice((shape.low, shape.high, rng.randint(shape.low, shape.high), *fitting[:3], *fitting[-3:]))
        case Bool():
            return rng.random() < 0.5  # noqa: PLR2004 - either
        case Fixed() | Raw():
            return _random_bytes(shape, rng)
        case Packed():
            return _random_field(_as_list(shape), rng)
        case Text():
            fitting_texts = [text for text in _TEXTS if shape.low <= len(text) <= shape.high]
            return rng.choice(fitting_texts)
        case ListOf():
            count = rng.randint(shape.low, min(shape.high, max(shape.low, _ITEMS_MAX)))
            return tuple(_random_field(shape.item, rng) for _ in range(count))
        case Maybe():
            return None if rng.random() < 0.3 else _random_field(shape.shape, rng)  # noqa: PLR2004 - mostly something
        case Nested() | OneOf():
            return random_value(rng.choice(shape.kinds), rng)
        case _:
            assert_never(shape)


def _random_bytes(shape: Fixed | Raw, rng: random.Random) -> bytes:
    if isinstance(shape, Raw):
        return rng.randbytes(rng.randint(shape.low, min(shape.high, max(shape.low, _BYTES_MAX))))
    if shape.kind is PublicKey and rng.random() < 0.7:  # noqa: PLR2004 - mostly one that can sign
        return rng.choice(PUBLIC_KEYS)
    return shape.kind(rng.randbytes(shape.kind.length))


def _as_list(shape: Packed) -> ListOf:
    return ListOf(Fixed(shape.kind), shape.high)


def edited_value(value: Any, rng: random.Random) -> Any:  # noqa: ANN401 - a value of the same type
    """Return the value with one field changed somewhere; it may break a limit between fields, never one of a shape."""
    if isinstance(value, Envelope):
        return _edited_envelope(value, rng)
    fields = fields_of(type(value))
    if not fields:
        return value
    name, shape = rng.choice(fields)
    return replace(value, **{name: _edited_field(getattr(value, name), shape, rng)})


def _edited_field(field: Any, shape: Shape, rng: random.Random) -> object:  # noqa: ANN401 - fits the shape
    if rng.random() < 0.1:  # noqa: PLR2004 - now and then something new
        return _random_field(shape, rng)
    if isinstance(shape, Maybe) and field is not None:
        return _edited_field(field, shape.shape, rng)
    if isinstance(shape, Nested | OneOf):
        return edited_value(field, rng)
    if isinstance(shape, Packed):
        return _edited_list(field, _as_list(shape), rng)
    if isinstance(shape, ListOf):
        return _edited_list(field, shape, rng)
    if isinstance(shape, UInt):
        near = rng.choice((field - 1, field + 1, field ^ (1 << rng.randrange(12)), field * 2))
        return min(max(near, shape.low), shape.high)
    if isinstance(shape, Raw):
        changed = damaged(rng, field, ())[: shape.high]
        return changed + bytes(max(0, shape.low - len(changed)))
    return _random_field(shape, rng)


def _edited_list(items: tuple[Any, ...], shape: ListOf, rng: random.Random) -> tuple[Any, ...]:
    if not items:
        return (_random_field(shape.item, rng),)
    position = rng.randrange(len(items))
    match rng.randrange(6):
        case 0 if len(items) > shape.low:
            return items[:position] + items[position + 1 :]
        case 1:
            return (*items, items[position])[: shape.high]
        case 2:
            return (*items, _random_field(shape.item, rng))[: shape.high]
        case 3:
            return items[::-1]
        case _:
            return (*items[:position], _edited_field(items[position], shape.item, rng), *items[position + 1 :])


def _edited_envelope(envelope: Envelope, rng: random.Random) -> Envelope:
    """Change what was signed and sign it again; sometimes only one of the two."""
    dice = rng.random()
    if dice < 0.1:  # noqa: PLR2004 - a signature that does not fit
        return replace(envelope, body=damaged(rng, envelope.body, ())[: limits.RECORD_BYTES_MAX])
    if dice < 0.2:  # noqa: PLR2004 - of another signer
        return replace(envelope, signer=rng.choice(PUBLIC_KEYS))
    record = record_in(envelope)
    if record is None:
        return _random_envelope(rng)
    key = _KEY_OF.get(envelope.signer, KEYS[0]) if dice < 0.95 else rng.choice(KEYS)  # noqa: PLR2004 - see above
    network = NETWORK if dice < 0.98 else "another"  # noqa: PLR2004 - rarely
    try:
        return sign_record(edited_value(record, rng), key=key, network=network).envelope
    except WireError:
        return envelope


def tag_byte(body: bytes) -> bytes:
    """Return where the tag of a record stands, whatever that is: behind the length of an array, short or long."""
    start = _LONG_ARRAY_BYTES if body[:1] == _LONG_ARRAY else 1
    start += body[start : start + 1] == _LONG_TAG
    return body[start : start + 1]


def record_in(envelope: Envelope) -> SignedRecord | None:
    """Return the record in an envelope, unchecked; None when there is none."""
    for kind in SIGNED_KINDS:
        if tag_byte(envelope.body) == bytes([tag_of(kind)]):
            try:
                return decode(envelope.body, kind, bytes_max=limits.RECORD_BYTES_MAX)
            except WireError:
                return None
    return None


def value_editor(*kinds: type[Any], bytes_max: int = limits.BLOB_BYTES_MAX) -> Callable[[random.Random, bytes], bytes]:
    """Return a `Mutate` for inputs that are the encoding of one of these wire types."""

    def mutate(rng: random.Random, data: bytes) -> bytes:
        try:
            value = decode(data, *kinds, bytes_max=bytes_max)
            for _ in range(rng.choice((1, 1, 2, 3))):
                value = edited_value(value, rng)
            return encode(value)
        except WireError:  # It was not one, or a change broke a limit between two fields.
            return data

    return mutate


def all_kinds() -> tuple[type[object], ...]:
    """Return every wire type of the modules that ship."""
    return tuple(kind for kind in wire_types() if kind.__module__.partition(".")[0] in ("wire", "p2pnode"))
