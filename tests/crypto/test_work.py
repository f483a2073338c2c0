"""The admission work: what solves it, what does not, and what each costs."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from crypto import work
from crypto.hashing import tagged_hash
from crypto.work import BadWorkError, Task, attempts, check_claim, check_work, key_of_work

TASK = Task(b"k" * 32, "net", 2)


def solve(task: Task, start: int = 0) -> bytes:
    """Return the first solution from a nonce on."""
    return next(solution for solution in attempts(task, start=start) if solution is not None)


def is_stamped(task: Task, solution: bytes) -> bool:
    """Tell by the definition of docs/WIRE.md whether the stamp is good."""
    digest = hashlib.blake2b(task.digest() + solution, digest_size=8, person=b"p2pnode-stamp").digest()
    return int.from_bytes(digest, "big") < 1 << (64 - task.cost - 4)


def stamped(task: Task, nonce: bytes, output: bytes) -> bytes:
    """Return a claim with a good stamp on any output: what a forger makes without scrypt."""
    claims = (nonce + output + number.to_bytes(8, "big") for number in range(1 << 20))
    return next(claim for claim in claims if is_stamped(task, claim))


def test_a_solution_is_as_the_wire_page_defines_it() -> None:
    solution = solve(TASK)
    nonce, output = solution[:8], solution[8:40]
    task = tagged_hash(b"p2pnode/admission", b"k" * 32, b"net", b"\x02")
    assert output == hashlib.scrypt(task, salt=nonce, n=4, r=8, p=1, dklen=32)
    assert output[0] < 2
    assert is_stamped(TASK, solution)
    check_work(TASK, solution)


def test_every_step_but_the_last_yields_nothing_and_the_last_the_solution() -> None:
    steps = list(attempts(TASK, start=0))
    assert steps[-1] is not None
    assert set(steps[:-1]) <= {None}


def test_stamps_are_sought_for_as_many_steps_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "STAMPS_PER_STEP", 1)
    assert solve(TASK) == list(attempts(TASK, start=0))[-1]
    check_work(TASK, solve(TASK))


def test_nonces_go_on_from_zero_after_the_last_one() -> None:
    check_work(TASK, solve(TASK, start=2**64 - 1))


@pytest.mark.parametrize(
    "other",
    [replace(TASK, public_key=b"j" * 32), replace(TASK, network="net2"), replace(TASK, cost=3)],
    ids=["another-identity", "another-network", "another-cost"],
)
def test_a_solution_serves_one_identity_in_one_network_at_one_cost(other: Task) -> None:
    # A stamp may fit by chance; the output does not.
    with pytest.raises(BadWorkError):
        check_work(other, solve(TASK))


def test_every_flipped_byte_spoils_a_solution() -> None:
    solution = solve(TASK)
    for index in range(work.WORK_BYTES - work.STAMP_BYTES):
        damaged = bytearray(solution)
        damaged[index] ^= 1
        with pytest.raises(BadWorkError):
            check_work(TASK, bytes(damaged))


@pytest.mark.parametrize("length", [0, work.WORK_BYTES - 1, work.WORK_BYTES + 1])
def test_a_claim_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(BadWorkError, match=f"has {work.WORK_BYTES} bytes, got {length}"):
        check_claim(TASK, bytes(length))


def test_an_output_without_its_zeros_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(BadWorkError, match="does not begin with 7 zero bits"):
        check_claim(TASK, stamped(TASK, bytes(8), b"\x02" + bytes(31)))


def test_a_claim_without_its_stamp_is_refused_before_anything_is_computed() -> None:
    solution = solve(TASK)
    unstamped = next(
        claim
        for claim in (solution[:-8] + number.to_bytes(8, "big") for number in range(100))
        if not is_stamped(TASK, claim)
    )
    with pytest.raises(BadWorkError, match=r"the stamp .* does not begin with 6 zero bits"):
        check_claim(TASK, unstamped)


def test_a_stamped_output_of_no_work_passes_for_a_claim_and_not_for_a_solution() -> None:
    forged = stamped(TASK, bytes(8), bytes(32))
    check_claim(TASK, forged)
    with pytest.raises(BadWorkError, match="not that of its nonce"):
        check_work(TASK, forged)


def test_the_placement_key_comes_from_the_output_and_not_from_the_cheap_parts() -> None:
    solution = solve(TASK)
    assert key_of_work(solution) == tagged_hash(b"p2pnode/placement key", solution[8:40])
    assert key_of_work(b"another!" + solution[8:40] + b"stamping") == key_of_work(solution)
    assert key_of_work(solve(TASK, start=1000)) != key_of_work(solution)


def test_the_full_cost_takes_sixty_four_mebibytes_and_twenty_bits_of_stamp() -> None:
    task = replace(TASK, cost=16)
    assert (task.tries_expected, task.stamp_bits) == (128, 20)
    check = hashlib.scrypt(task.digest(), salt=bytes(8), n=1 << 16, r=8, p=1, maxmem=66 << 20, dklen=32)
    forged = stamped_fast(task, bytes(8), bytes(1) + check[1:])
    with pytest.raises(BadWorkError, match="stamp"):
        check_claim(task, forged)


def stamped_fast(task: Task, nonce: bytes, output: bytes) -> bytes:
    """Return a claim whose stamp nobody sought."""
    claim = nonce + output + bytes(8)
    assert not is_stamped(task, claim)
    return claim
