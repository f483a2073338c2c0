"""One promise: any bytes decode, or raise `WireError`; nothing else ever happens.

What is mutated by the thousand, golden messages among it, is in `tests/fuzz`.
"""

from __future__ import annotations

import random

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.golden import Golden
from tests.wire.strategies import KINDS, values_of
from tests.wire.test_golden import GOLDEN
from wire import limits
from wire.codec import decode, encode, tag_of
from wire.errors import WireError

TAGS = st.sampled_from([tag_of(kind) for kind in KINDS])

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8) | st.binary(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.integers(0, 9), inner, max_size=2),
    max_leaves=20,
)
"""Anything that msgpack can say."""


def decode_or_refuse(data: bytes) -> None:
    """Decode as any type; what decodes must be written as the very same bytes."""
    try:
        value = decode(data, *KINDS, bytes_max=limits.MESSAGE_BYTES_MAX)
    except WireError:
        return
    assert encode(value) == data


@settings(max_examples=500)
@given(st.binary(max_size=2000))
def test_any_bytes_decode_or_raise_wire_error_only(data: bytes) -> None:
    decode_or_refuse(data)


@given(TAGS, st.lists(PLAIN, max_size=14))
def test_any_array_behind_a_known_tag_decodes_or_raises_wire_error_only(tag: int, fields: list[object]) -> None:
    decode_or_refuse(msgpack.packb([tag, *fields], use_bin_type=True))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_value_of_every_type_comes_back_as_it_was(kind: type[object]) -> None:
    @settings(max_examples=25)
    @given(values_of(kind))
    def comes_back(value: object) -> None:
        data = encode(value)
        assert decode(data, kind, bytes_max=limits.MESSAGE_BYTES_MAX) == value
        assert decode(data, *KINDS, bytes_max=len(data)) == value

    comes_back()


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_every_flipped_bit_is_refused_or_means_another_value(golden: Golden, rng: random.Random) -> None:
    data = golden.data
    for _ in range(300):
        position, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        changed = bytearray(data)
        changed[position] ^= bit
        decode_or_refuse(bytes(changed))
