"""A network's secret: one file text each, never shown by accident, one handshake key for each network."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.hashing import tagged_hash
from wire.errors import WireError
from wire.network_secret import SECRET_BYTES, NetworkSecret

SECRET = NetworkSecret(bytes(range(SECRET_BYTES)))


@given(st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES).map(NetworkSecret))
def test_what_was_written_is_what_is_read(secret: NetworkSecret) -> None:
    assert NetworkSecret.from_file_text(secret.file_text()) == secret


def test_the_file_has_these_words() -> None:
    assert SECRET.file_text() == "p2pnode-network-secret-v1 AAECAwQFBgcICQoLDA0ODw==\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p2pnode-network-secret-v1\n",
        "p2pnode-network-secret-v2 AAECAwQFBgcICQoLDA0ODw==\n",
        "p2pnode-network-secret-v1 AAECAwQFBgcICQoLDA0ODx==\n",  # Spare bits that are set.
        "p2pnode-network-secret-v1 AAECAwQFBgcICQoLDA0O\n",
        "p2pnode-network-secret-v1 AAECAwQFBgcICQoLDA0OD!==\n",
        "p2pnode-network-secret-v1  AAECAwQFBgcICQoLDA0ODw==\n",
        "p2pnode-network-secret-v1 \N{LATIN SMALL LETTER E WITH ACUTE}AECAwQFBgcICQoLDA0ODw==\n",
    ],
)
def test_any_other_file_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(WireError, match=r"^expected one line: 'p2pnode-network-secret-v1' and the base64") as caught:
        NetworkSecret.from_file_text(text)
    assert caught.value.__cause__ is None
    assert "AAEC" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_a_secret_has_128_bits(length: int) -> None:
    with pytest.raises(WireError, match="16 bytes"):
        NetworkSecret(bytes(length))


def test_a_secret_is_never_shown() -> None:
    for shown in (repr(SECRET), str(SECRET), f"{SECRET}", f"{[SECRET]}"):
        assert "NetworkSecret(hidden)" in shown
        assert SECRET.hex()[:6] not in shown


def test_the_handshake_key_belongs_to_the_secret_and_the_name(rng: random.Random) -> None:
    key = SECRET.handshake_key("family")
    assert key == tagged_hash(b"p2pnode/network-secret/v1", b"family", bytes(SECRET))
    assert len(key) == 32
    other = NetworkSecret(rng.randbytes(SECRET_BYTES))
    assert len({key, SECRET.handshake_key("familie"), other.handshake_key("family")}) == 3
