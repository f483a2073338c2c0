"""Every wire type of this package with its fields, and Hypothesis strategies derived from their shapes."""

from __future__ import annotations

from typing import assert_never

from hypothesis import strategies as st

from wire import (
    audit_receipts,
    challenges,
    commitments,
    evidence,
    inconsistency,
    invitations,
    messages,
    ownership,
    protocol_ids,
    records,
    repair,
)
from wire.codec import Nested, OneOf, fields_of, wire_types
from wire.shapes import Bool, Fixed, ListOf, Maybe, Packed, Raw, Shape, Text, UInt

KINDS = tuple(
    kind
    for kind in wire_types()
    if kind.__module__
    in {
        audit_receipts.__name__,
        challenges.__name__,
        commitments.__name__,
        evidence.__name__,
        inconsistency.__name__,
        invitations.__name__,
        messages.__name__,
        ownership.__name__,
        protocol_ids.__name__,
        records.__name__,
        repair.__name__,
    }
)
"""In the order of their tags. Types of other packages and of tests are not among them."""

_ITEMS_MAX = 3
_BYTES_MAX = 600
"""Long lists and long bytes find no other bug than short ones: the limits have tests of their own."""


def values_of(kind: type[object]) -> st.SearchStrategy[object]:
    """Return a strategy for valid values of one wire type."""
    return st.builds(kind, **{name: field_of(shape) for name, shape in fields_of(kind)})


def field_of(shape: Shape) -> st.SearchStrategy[object]:
    """Return a strategy for the values that a shape accepts."""
    known = UInt | Bool | Fixed | Packed | Raw | Text | ListOf | Maybe | Nested | OneOf
    assert isinstance(shape, known)
    match shape:
        case UInt():
            # Both ends on purpose: msgpack spells numbers in nine ways, by their size.
            return st.integers(shape.low, shape.high) | st.sampled_from((shape.low, shape.high))
        case Bool():
            return st.booleans()
        case Fixed():
            return st.binary(min_size=shape.kind.length, max_size=shape.kind.length).map(shape.kind)
        case Packed():
            return st.lists(field_of(Fixed(shape.kind)), max_size=min(shape.high, _ITEMS_MAX)).map(tuple)
        case Raw():
            return st.binary(min_size=shape.low, max_size=min(shape.high, max(shape.low, _BYTES_MAX)))
        case Text():
            return st.text(min_size=shape.low, max_size=shape.high).filter(str.isprintable)
        case ListOf():
            longest = min(shape.high, max(shape.low, _ITEMS_MAX))
            return st.lists(field_of(shape.item), min_size=shape.low, max_size=longest).map(tuple)
        case Maybe():
            return st.none() | field_of(shape.shape)
        case Nested() | OneOf():
            return st.one_of([values_of(kind) for kind in shape.kinds])
        case _:
            assert_never(shape)
