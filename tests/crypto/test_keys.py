"""Keys: one line of text with a purpose, and nothing that shows the seed."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.keys import PUBLIC_KEY_BYTES, SEED_BYTES, BadKeyError, KeyPurpose, SigningKey, key_from_text, key_to_text

SEED = bytes(range(32))
KEY = SigningKey(SEED)
TEXT = "p2pnode-key-v1 identity AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"

RFC_8032 = {
    "TEST 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    "TEST 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
}
"""Vectors of RFC 8032, section 7.1: seed, public key, message, signature."""


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032.values(), ids=RFC_8032)
def test_a_key_signs_as_the_standard_says(seed: str, public: str, message: str, signature: str) -> None:
    key = SigningKey(bytes.fromhex(seed))
    assert key.public.hex() == public
    assert key.sign_bytes(bytes.fromhex(message)).hex() == signature


@pytest.mark.parametrize("count", [0, 31, 33, 64])
def test_a_seed_of_another_length_is_refused(count: int) -> None:
    with pytest.raises(BadKeyError, match=f"an Ed25519 seed has {SEED_BYTES} bytes, got {count}"):
        SigningKey(bytes(count))


def test_the_text_of_a_key_is_one_line_with_version_and_purpose() -> None:
    assert key_to_text(KEY, KeyPurpose.IDENTITY) == TEXT
    assert key_to_text(KEY, KeyPurpose.OWNER) == TEXT.replace("identity", "owner")


@given(st.binary(min_size=32, max_size=32), st.sampled_from(KeyPurpose))
def test_the_text_of_a_key_leads_back_to_it(seed: bytes, purpose: KeyPurpose) -> None:
    key = SigningKey(seed)
    assert key_from_text(key_to_text(key, purpose), purpose) == key
    assert len(key.public) == PUBLIC_KEY_BYTES


@pytest.mark.parametrize(("purpose", "other"), [("identity", KeyPurpose.OWNER), ("owner", KeyPurpose.IDENTITY)])
def test_a_key_for_another_purpose_is_refused(purpose: str, other: KeyPurpose) -> None:
    with pytest.raises(BadKeyError, match=f"this key file is not for '{other.value}'"):
        key_from_text(key_to_text(KEY, KeyPurpose(purpose)), other)


def encoded(data: bytes) -> str:
    """Return base64."""
    return base64.b64encode(data).decode("ascii")


DAMAGED = {
    "empty": "",
    "another file": "-----BEGIN PRIVATE KEY-----\n",
    "another version": TEXT.replace("v1", "v2"),
    "no purpose": "p2pnode-key-v1 " + encoded(SEED),
    "no seed": "p2pnode-key-v1 identity",
    "one word more": TEXT + "again",
    "two keys": TEXT + TEXT,
    "unknown purpose": TEXT.replace("identity", "root"),
    "purpose in capitals": TEXT.replace("identity", "IDENTITY"),
    "seed cut": TEXT[:-6],
    "seed without padding": TEXT.replace("=", ""),
    "seed too short": "p2pnode-key-v1 identity " + encoded(SEED[:-1]),
    "seed too long": "p2pnode-key-v1 identity " + encoded(SEED + b"\0"),
    "spare bits set": TEXT.replace("Hh8=", "Hh9="),
    "not base64": TEXT.replace("AAEC", "AA*C"),
    "not ASCII": TEXT.replace("AAEC", "AAÄC"),
    "half of a surrogate pair": TEXT.replace("AAEC", "AA\ud800C"),
    "seed in the place of the purpose": f"p2pnode-key-v1 {encoded(SEED)} identity",
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_key_file_is_refused_without_showing_the_seed(text: str) -> None:
    with pytest.raises(BadKeyError) as caught:
        key_from_text(text, KeyPurpose.IDENTITY)
    assert encoded(SEED)[4:20] not in str(caught.value)


@given(st.text(max_size=100) | st.text(max_size=60).map(lambda text: f"p2pnode-key-v1 identity {text}"))
def test_any_text_is_a_key_or_a_bad_key_error(text: str) -> None:
    try:
        key = key_from_text(text, KeyPurpose.IDENTITY)
    except BadKeyError:
        return
    assert key_to_text(key, KeyPurpose.IDENTITY).split() == text.split()


def test_a_key_never_shows_its_seed() -> None:
    for shown in (repr(KEY), str(KEY), f"{KEY}", repr([KEY])):
        assert "SigningKey(public=03a107bff3ce..)" in shown
        for secret in (SEED.hex(), SEED.hex()[:12], repr(SEED), encoded(SEED)[:16]):
            assert secret not in shown
