"""What is remembered of signatures in a world is never said of another one."""

import random

import pytest

from crypto import signing
from crypto.keys import SEED_BYTES, SigningKey
from crypto.signing import BadSignatureError, Domain, sign
from testnet.sim.memo import BODY_BYTES_MAX, RememberedSignatures, pure_answers_remembered

DOMAIN = Domain("test", "network", 1)


class Counted:
    """The real `verify`, counted."""

    def __init__(self) -> None:
        """Nothing was asked."""
        self.asked = 0

    def __call__(self, domain: Domain, body: bytes, *, public_key: bytes, signature: bytes) -> None:
        """Count and ask."""
        self.asked += 1
        signing.verify(domain, body, public_key=public_key, signature=signature)


def test_a_signature_is_checked_once_and_every_other_one_by_itself(rng: random.Random) -> None:
    key, other = SigningKey(rng.randbytes(SEED_BYTES)), SigningKey(rng.randbytes(SEED_BYTES))
    body = rng.randbytes(100)
    signature = sign(key, DOMAIN, body)
    real = Counted()
    verify = RememberedSignatures(real)
    for _ in range(3):
        verify(DOMAIN, body, public_key=key.public, signature=signature)
    assert (real.asked, len(verify)) == (1, 1)
    wrong: list[tuple[Domain, bytes, bytes, bytes]] = [
        (DOMAIN, body[:-1] + bytes([body[-1] ^ 1]), key.public, signature),
        (DOMAIN, body, other.public, signature),
        (DOMAIN, body, key.public, signature[:-1] + bytes([signature[-1] ^ 1])),
        (Domain("other", "network", 1), body, key.public, signature),
        (Domain("test", "other", 1), body, key.public, signature),
        (Domain("test", "network", 2), body, key.public, signature),
        (DOMAIN, body, key.public, signature + b"\0"),
    ]
    for domain, text, public, signed in wrong * 2:
        with pytest.raises(BadSignatureError):
            verify(domain, text, public_key=public, signature=signed)
    assert real.asked == 1 + 2 * len(wrong), "only a yes is remembered"
    assert len(verify) == 1


def test_no_more_is_remembered_than_said_and_nothing_that_is_long(rng: random.Random) -> None:
    key = SigningKey(rng.randbytes(SEED_BYTES))
    verify = RememberedSignatures(signing.verify, answers_max=3)
    bodies = [bytes([number]) for number in range(5)] + [bytes(BODY_BYTES_MAX + 1)]
    for body in bodies:
        verify(DOMAIN, body, public_key=key.public, signature=sign(key, DOMAIN, body))
    assert len(verify) == 3


def test_what_was_remembered_ends_with_the_world() -> None:
    real = signing.verify
    with pure_answers_remembered():
        first = signing.verify
        assert isinstance(first, RememberedSignatures)
    with pure_answers_remembered():
        assert signing.verify is not first
    assert signing.verify is real
