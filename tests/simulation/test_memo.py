"""What is remembered of signatures in a world is never said of another one."""

import random
from contextlib import nullcontext
from typing import TypeVar

import pytest

from crypto import signing
from crypto.keys import SEED_BYTES, SigningKey
from crypto.signing import BadSignatureError, Domain, sign
from crypto.work import BadWorkError, Task, attempts, check_work
from p2pnode.protocols import gossip, members
from testnet.sim.admission import AUDITING
from testnet.sim.memo import (
    BODY_BYTES_MAX,
    RememberedSignatures,
    RememberedValues,
    RememberedWork,
    pure_answers_remembered,
)
from testnet.sim.run import Run
from testnet.sim.world import World, run_world
from tests.factories import signed_member
from wire import limits
from wire import signed as signed_module
from wire.codec import decode, encode
from wire.errors import WireError
from wire.records import AnnouncementBatch, Envelope, MemberRecord

T = TypeVar("T")

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


def test_admission_work_is_checked_once_and_every_other_solution_or_task_by_itself() -> None:
    task, asked = Task(b"k" * 32, "network", 1), 0

    def real(task: Task, work: bytes) -> None:
        nonlocal asked
        asked += 1
        check_work(task, work)

    work = next(solution for solution in attempts(task, start=0) if solution is not None)
    check = RememberedWork(real, answers_max=1)
    for _ in range(3):
        check(task, work)
    assert asked == 1
    wrong = [
        (Task(b"l" * 32, "network", 1), work),
        (Task(b"k" * 32, "other", 1), work),
        (Task(b"k" * 32, "network", 2), work),
        (task, bytes([work[0] ^ 1]) + work[1:]),
        (task, b""),
    ]
    for other, solution in wrong * 2:
        with pytest.raises(BadWorkError):
            check(other, solution)
    assert asked == 1 + 2 * len(wrong), "only a yes is remembered"
    assert len(check) == 1


def test_the_same_bytes_are_read_once_as_the_same_kinds_and_what_is_refused_each_time() -> None:
    asked = 0

    def real(data: bytes, *kinds: type[T], bytes_max: int) -> T:
        nonlocal asked
        asked += 1
        return decode(data, *kinds, bytes_max=bytes_max)

    remembered = RememberedValues(real, answers_max=2)
    body = signed_member(1).envelope.body
    first = remembered(body, MemberRecord, bytes_max=limits.RECORD_BYTES_MAX)
    assert first == decode(body, MemberRecord, bytes_max=limits.RECORD_BYTES_MAX)
    assert remembered(bytes(bytearray(body)), MemberRecord, bytes_max=limits.RECORD_BYTES_MAX) is first
    assert asked == 1
    for data, kind, bytes_max in (
        (body, AnnouncementBatch, limits.RECORD_BYTES_MAX),
        (body, MemberRecord, len(body) - 1),
        (body + b"\0", MemberRecord, limits.RECORD_BYTES_MAX),
    ):
        for _ in range(2):
            with pytest.raises(WireError):
                remembered(data, kind, bytes_max=bytes_max)
    assert asked == 7
    for number in (2, 3, 4):
        remembered(signed_member(number).envelope.body, MemberRecord, bytes_max=limits.RECORD_BYTES_MAX)
    assert len(remembered) == 2
    signature = signed_member(1).envelope.signature
    long = encode(Envelope(body=bytes(BODY_BYTES_MAX), signer=first.owner, signature=signature))
    for _ in range(2):
        remembered(long, Envelope, bytes_max=limits.RECORD_BYTES_MAX)
    assert asked == 12, "what is long is read each time"


def test_what_was_remembered_ends_with_the_world() -> None:
    places = [(signing, "verify"), (members, "check_work"), (gossip, "decode"), (signed_module, "decode")]
    real = [getattr(owner, name) for owner, name in places]
    with pure_answers_remembered():
        first = [getattr(owner, name) for owner, name in places]
        assert isinstance(first[0], RememberedSignatures)
        assert not set(map(id, first)) & set(map(id, real))
    with pure_answers_remembered():
        again = [getattr(owner, name) for owner, name in places]
        assert not set(map(id, first)) & set(map(id, again))
    assert [getattr(owner, name) for owner, name in places] == real


def test_a_world_that_remembers_nothing_has_the_same_trace(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: World) -> None:
        run = Run(world, nodes=5)
        await run.start()
        await run.put("n0")

    with_memo = run_world(seed, scenario, profile=AUDITING)
    monkeypatch.setattr("testnet.sim.world.pure_answers_remembered", nullcontext)
    assert run_world(seed, scenario, profile=AUDITING) == with_memo
