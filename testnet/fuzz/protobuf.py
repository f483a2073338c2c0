"""Protobuf as a list of fields, read and written by ourselves, so that edits keep most of a message readable."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from testnet.fuzz.mutator import INTERESTING, damaged

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES_MAX = 10
_FIELDS_MAX = 4_000
_DEPTH_MAX = 5


class NotProtobufError(ValueError):
    """Bytes that are not a protobuf message."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its number, its wire type, and a number or bytes."""

    number: int
    kind: int
    value: int | bytes


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    parts = bytearray()
    while number >= 1 << 7:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def read_fields(data: bytes) -> list[Field]:
    """Return the fields of a message. Raises `NotProtobufError`."""
    fields, position = [], 0
    while position < len(data):
        key, position = _read_varint(data, position)
        kind = key & 7
        if kind == _VARINT:
            number, position = _read_varint(data, position)
            fields.append(Field(key >> 3, kind, number))
            continue
        if kind == _BYTES:
            size, position = _read_varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise NotProtobufError(f"wire type {kind}")
        if position + size > len(data) or not key >> 3 or len(fields) >= _FIELDS_MAX:
            raise NotProtobufError("cut short")
        fields.append(Field(key >> 3, kind, data[position : position + size]))
        position += size
    return fields


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    number = 0
    for shift in range(_VARINT_BYTES_MAX):
        if position + shift >= len(data):
            break
        byte = data[position + shift]
        number |= (byte & 0x7F) << (7 * shift)
        if byte < 1 << 7:
            return number, position + shift + 1
    raise NotProtobufError("a number without end")


def write_fields(fields: list[Field]) -> bytes:
    """Return the bytes of a message."""
    parts = []
    for field in fields:
        parts.append(varint(field.number << 3 | field.kind))
        if isinstance(field.value, int):
            parts.append(varint(field.value))
        else:
            parts.append((varint(len(field.value)) if field.kind == _BYTES else b"") + field.value)
    return b"".join(parts)


def edited_message(rng: random.Random, data: bytes, depth: int = 0) -> bytes:
    """Change one field somewhere in a message, double it, or leave it out; unchanged when it is no protobuf."""
    try:
        fields = read_fields(data)
    except NotProtobufError:
        return data
    if not fields:
        return write_fields([_random_field(rng)])
    position = rng.randrange(len(fields))
    field = fields[position]
    match rng.randrange(8):
        case 0:
            fields.pop(position)
        case 1:
            fields[position:position] = [field] * rng.choice((1, 2, 30, 300))
        case 2:
            fields.insert(position, _random_field(rng))
        case 3:
            fields[position] = replace(field, number=max(1, field.number + rng.choice((-1, 1))))
        case _:
            fields[position] = replace(field, value=_edited_value(rng, field, depth))
    return write_fields(fields)


def _edited_value(rng: random.Random, field: Field, depth: int) -> int | bytes:
    if isinstance(field.value, int):
        return rng.choice((rng.choice(INTERESTING), field.value + 1, max(0, field.value - 1)))
    if field.kind != _BYTES:
        return bytes(len(field.value))
    if depth < _DEPTH_MAX and rng.random() < 0.7:  # noqa: PLR2004 - mostly it may be a message
        changed = edited_message(rng, field.value, depth + 1)
        if changed != field.value:
            return changed
    return damaged(rng, field.value, ())


def _random_field(rng: random.Random) -> Field:
    number = rng.choice((1, 2, 3, 4, 5, 6, 10, 15, 16, 2047))
    if rng.random() < 0.5:  # noqa: PLR2004 - either
        return Field(number, _VARINT, rng.choice(INTERESTING))
    return Field(number, _BYTES, rng.choice((b"", rng.randbytes(5), bytes(40), b"\xff" * 20)))
