"""BLAKE2b-256 and the tagged hash."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.hashing import HASH_BYTES, blake2b_256, tagged_hash


def test_the_bare_hash_is_unkeyed_blake2b_of_32_bytes() -> None:
    # The digest of "abc" as other implementations of BLAKE2b with 32 bytes print it.
    expected = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
    assert blake2b_256(b"abc").hex() == expected
    assert len(blake2b_256(b"")) == HASH_BYTES


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_buffer_hashes_alike(kind: type) -> None:
    assert blake2b_256(kind(b"some bytes")) == blake2b_256(b"some bytes")


def test_the_tagged_hash_is_what_its_docstring_says() -> None:
    spelled = b"\x03" + bytes(7) + b"tag" + b"\x01" + bytes(7) + b"a" + bytes(8)
    assert tagged_hash(b"tag", b"a", b"") == blake2b(spelled, digest_size=32, person=b"p2pnode-tagged").digest()


def test_no_bare_hash_equals_a_tagged_one() -> None:
    spelled = b"\x03" + bytes(7) + b"tag"
    assert tagged_hash(b"tag") != blake2b_256(spelled)


pieces = st.lists(st.binary(max_size=3), min_size=1, max_size=4)


@given(pieces, pieces)
def test_different_pieces_never_hash_alike(first: list[bytes], second: list[bytes]) -> None:
    assert (tagged_hash(*first) == tagged_hash(*second)) == (first == second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((b"t", b"ab", b"c"), (b"t", b"a", b"bc")),
        ((b"t", b"ab"), (b"ta", b"b")),
        ((b"t", b""), (b"t",)),
        ((b"t", b"", b"a"), (b"t", b"a", b"")),
        ((b"t", b"a" * 8), (b"t" + b"a" * 8,)),
    ],
)
def test_bytes_cannot_move_between_pieces(first: tuple[bytes, ...], second: tuple[bytes, ...]) -> None:
    assert tagged_hash(*first) != tagged_hash(*second)
