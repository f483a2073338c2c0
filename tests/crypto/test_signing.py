"""Signatures: they fit one domain, network, version, body and key; anything else raises `BadSignatureError`."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from crypto import signing
from crypto.hashing import tagged_hash
from crypto.keys import SigningKey
from crypto.signing import BadSignatureError, Domain, sign, verify

KEY = SigningKey(bytes(range(32)))
OTHER_KEY = SigningKey(bytes(range(1, 33)))
DOMAIN = Domain("lease", "test", 1)
BODY = b"some body"
SIGNATURE = sign(KEY, DOMAIN, BODY)

PRIME = 2**255 - 19
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


def refuse(domain: Domain, body: bytes, public_key: bytes, signature: bytes) -> None:
    with pytest.raises(BadSignatureError, match="bad signature on a"):
        verify(domain, body, public_key=public_key, signature=signature)


def test_what_was_signed_verifies() -> None:
    verify(DOMAIN, BODY, public_key=KEY.public, signature=SIGNATURE)


def test_what_is_signed_is_the_tagged_hash_of_every_part() -> None:
    expected = tagged_hash(b"p2pnode/signed/v1", b"lease", b"test", b"\0\0\0\1", BODY)
    assert DOMAIN.digest(BODY) == expected
    assert KEY.sign_bytes(expected) == SIGNATURE


def test_a_signature_is_the_same_every_time() -> None:
    assert sign(KEY, DOMAIN, BODY) == SIGNATURE
    assert len(SIGNATURE) == 64


@pytest.mark.parametrize(
    "domain",
    [
        replace(DOMAIN, tag="tombstone"),
        replace(DOMAIN, network="test2"),
        replace(DOMAIN, version=2),
        # Parts that run into each other when they are merely joined.
        Domain("leas", "etest", 1),
        Domain("leaset", "est", 1),
        Domain("", "leasetest", 1),
    ],
    ids=repr,
)
def test_a_signature_fits_no_other_domain(domain: Domain) -> None:
    refuse(domain, BODY, KEY.public, SIGNATURE)
    assert sign(KEY, domain, BODY) != SIGNATURE


@pytest.mark.parametrize("body", [b"", BODY + b"\0", BODY[:-1], b"\0" + BODY, b"Some body"])
def test_a_signature_fits_no_other_body(body: bytes) -> None:
    refuse(DOMAIN, body, KEY.public, SIGNATURE)


def test_a_signature_fits_no_other_key() -> None:
    refuse(DOMAIN, BODY, OTHER_KEY.public, SIGNATURE)


def test_a_signature_over_the_bare_body_or_the_bare_hash_does_not_count() -> None:
    refuse(DOMAIN, BODY, KEY.public, KEY.sign_bytes(BODY))


@given(st.text("ab/", max_size=4), st.text("ab/", max_size=4), st.integers(0, 2), st.binary(max_size=3))
def test_two_domains_and_bodies_never_share_what_is_signed(tag: str, network: str, version: int, body: bytes) -> None:
    parts = (tag, network, version, body)
    others = [("a", "b", 1, b""), ("ab", "", 1, b""), ("", "ab", 0, b"a"), ("a", "b", 1, b"\0")]
    for other in others:
        same = Domain(*parts[:3]).digest(body) == Domain(*other[:3]).digest(other[3])
        assert same == (parts == other)


# --------------------------------------------------------------------------- keys and signatures gone wrong


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    for bit in range(512):
        damaged = bytearray(SIGNATURE)
        damaged[bit // 8] ^= 1 << bit % 8
        refuse(DOMAIN, BODY, KEY.public, bytes(damaged))


def test_every_flipped_bit_of_a_key_is_refused() -> None:
    for bit in range(256):
        damaged = bytearray(KEY.public)
        damaged[bit // 8] ^= 1 << bit % 8
        refuse(DOMAIN, BODY, bytes(damaged), SIGNATURE)


@pytest.mark.parametrize("count", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_is_refused(count: int) -> None:
    refuse(DOMAIN, BODY, KEY.public, (SIGNATURE * 2)[:count])


@pytest.mark.parametrize("count", [0, 1, 31, 33, 64])
def test_a_key_of_another_length_is_refused(count: int) -> None:
    refuse(DOMAIN, BODY, (KEY.public * 2)[:count], SIGNATURE)


def test_random_keys_and_signatures_are_refused(rng: random.Random) -> None:
    for _ in range(200):
        refuse(DOMAIN, BODY, rng.randbytes(32), SIGNATURE)
        refuse(DOMAIN, BODY, KEY.public, rng.randbytes(64))


def test_a_signature_has_no_second_spelling() -> None:
    scalar = int.from_bytes(SIGNATURE[32:], "little") + GROUP_ORDER
    refuse(DOMAIN, BODY, KEY.public, SIGNATURE[:32] + scalar.to_bytes(32, "little"))


LOW_ORDER = {
    "order 1": 1,
    "order 2": PRIME - 1,
    "order 4": 0,
    "order 8": signing._ORDER_EIGHT_Y,
    "order 8, the other": PRIME - signing._ORDER_EIGHT_Y,
    "order 4, second spelling": PRIME,
    "order 1, second spelling": PRIME + 1,
    "beyond the field": 2**255 - 1,
}


def key_of(y: int, *, sign_bit: bool) -> bytes:
    """Return the encoding of a point with this y coordinate."""
    return (y | sign_bit << 255).to_bytes(32, "little")


@pytest.mark.parametrize("sign_bit", [False, True])
@pytest.mark.parametrize("y", LOW_ORDER.values(), ids=LOW_ORDER)
def test_a_key_of_low_order_is_refused_whatever_the_signature(y: int, sign_bit: bool) -> None:  # noqa: FBT001 - a case
    public = key_of(y, sign_bit=sign_bit)
    for point in LOW_ORDER.values():
        for other_bit in (False, True):
            refuse(DOMAIN, BODY, public, key_of(point % 2**255, sign_bit=other_bit) + bytes(32))


def test_without_that_check_one_signature_of_a_low_order_key_would_fit_every_message() -> None:
    neutral = key_of(1, sign_bit=False)
    for body in (b"one", b"another"):
        Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), DOMAIN.digest(body))
        refuse(DOMAIN, body, neutral, neutral + bytes(32))


def double(x: int, y: int) -> tuple[int, int]:
    """Add a point of the curve -x^2 + y^2 = 1 + d x^2 y^2 to itself; an independent check of the table."""
    d = -121665 * pow(121666, -1, PRIME)
    product = d * x * x * y * y
    doubled_x = 2 * x * y * pow(1 + product, -1, PRIME) % PRIME
    return doubled_x, (y * y + x * x) * pow(1 - product, -1, PRIME) % PRIME


def test_the_points_of_order_eight_come_to_the_neutral_point_after_three_doublings() -> None:
    y = signing._ORDER_EIGHT_Y
    d = -121665 * pow(121666, -1, PRIME)
    x_squared = (y * y - 1) * pow(d * y * y + 1, -1, PRIME) % PRIME
    x = pow(x_squared, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != x_squared:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    assert x * x % PRIME == x_squared
    point = (x, y)
    for _ in range(2):
        point = double(*point)
    assert point == (0, PRIME - 1)
    assert double(*point) == (0, 1)


def test_an_ordinary_key_is_not_taken_for_one_of_low_order(rng: random.Random) -> None:
    for _ in range(20):
        key = SigningKey(rng.randbytes(32))
        verify(DOMAIN, BODY, public_key=key.public, signature=sign(key, DOMAIN, BODY))
