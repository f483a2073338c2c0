"""Claims about sealed data: it opens with its key and context only, unchanged only."""

from __future__ import annotations

import random

import pytest

from crypto.sealing import (
    KEY_BYTES,
    NONCE_BYTES,
    SALT_BYTES,
    SealError,
    derive_key,
    seal,
    seal_with_passphrase,
    unseal,
    unseal_with_passphrase,
)

QUICK = 2
"""log2 of scrypt's N for tests."""


def sealed_with_passphrase(rng: random.Random, text: bytes) -> bytes:
    salt, nonce = rng.randbytes(SALT_BYTES), rng.randbytes(NONCE_BYTES)
    return seal_with_passphrase("right horse", text, salt=salt, nonce=nonce, context=b"c", log2_n=QUICK)


@pytest.mark.parametrize("length", [0, 1, 1000])
def test_what_is_sealed_opens_with_its_key(rng: random.Random, length: int) -> None:
    key, text = rng.randbytes(KEY_BYTES), rng.randbytes(length)
    assert unseal(key, seal(key, text, nonce=rng.randbytes(NONCE_BYTES), context=b"c"), context=b"c") == text


def test_another_key_context_or_any_changed_bit_opens_nothing(rng: random.Random) -> None:
    key = rng.randbytes(KEY_BYTES)
    sealed = seal(key, b"text", nonce=rng.randbytes(NONCE_BYTES), context=b"c")
    with pytest.raises(SealError):
        unseal(rng.randbytes(KEY_BYTES), sealed, context=b"c")
    with pytest.raises(SealError):
        unseal(key, sealed, context=b"d")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1 << rng.randrange(8)
        with pytest.raises(SealError):
            unseal(key, bytes(changed), context=b"c")


@pytest.mark.parametrize("length", [0, 11, 27])
def test_too_few_bytes_are_no_sealed_data(length: int) -> None:
    with pytest.raises(SealError, match="too few"):
        unseal(bytes(KEY_BYTES), bytes(length), context=b"")
    with pytest.raises(SealError, match="too few"):
        unseal_with_passphrase("", bytes(length), context=b"")


def test_derived_keys_differ_by_secret_and_by_purpose() -> None:
    assert len({derive_key(secret, purpose) for secret in (b"a", b"b") for purpose in (b"x", b"y")}) == 4


def test_a_passphrase_opens_what_it_sealed_and_no_other_does(rng: random.Random) -> None:
    sealed = sealed_with_passphrase(rng, b"text")
    assert unseal_with_passphrase("right horse", sealed, context=b"c") == b"text"
    with pytest.raises(SealError, match="passphrase"):
        unseal_with_passphrase("wrong horse", sealed, context=b"c")
    with pytest.raises(SealError, match="passphrase"):
        unseal_with_passphrase("right horse", sealed, context=b"d")
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    with pytest.raises(SealError, match="damaged"):
        unseal_with_passphrase("right horse", changed, context=b"c")


@pytest.mark.parametrize("log2_n", [0, 21, 255])
def test_a_cost_beyond_ours_is_refused_before_it_is_paid(rng: random.Random, log2_n: int) -> None:
    sealed = bytes([log2_n]) + sealed_with_passphrase(rng, b"text")[1:]
    with pytest.raises(SealError, match="scrypt"):
        unseal_with_passphrase("right horse", sealed, context=b"c")
