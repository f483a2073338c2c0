"""Memory is handed out again when nothing refers to it any more, and never before."""

import random
from collections.abc import Callable

import numpy as np
import pytest

from p2pnode.coding import EncodeJob, SpareMemory, encode, run
from p2pnode.coding.field import Octets
from p2pnode.coding.memory import BUFFERS_MAX


def address(octets: Octets) -> int:
    return int(octets.ctypes.data)


@pytest.fixture
def memory() -> SpareMemory:
    return SpareMemory()


def test_a_buffer_comes_back_when_it_is_let_go(memory: SpareMemory) -> None:
    first = memory.take(1000)
    where = address(first)
    del first
    assert address(memory.take(1000)) == where


VIEWS: dict[str, Callable[[Octets], object]] = {
    "the array": lambda array: array,
    "a slice": lambda array: array[5:7],
    "another shape": lambda array: array.reshape(10, 100)[3].reshape(2, 50).swapaxes(0, 1),
    "a memoryview": lambda array: array.data,
    "a slice of one": lambda array: array.reshape(10, 100)[2].data.cast("B")[4:5].toreadonly(),
    "another array on it": lambda array: np.frombuffer(array.data, dtype=np.uint8),
}


@pytest.mark.parametrize("view_of", VIEWS.values(), ids=VIEWS.keys())
def test_any_view_keeps_the_buffer(memory: SpareMemory, view_of: Callable[[Octets], object]) -> None:
    array = memory.take(1000)
    where = address(array)
    kept = view_of(array)
    del array
    other = memory.take(1000)
    assert address(other) != where
    del kept
    assert address(memory.take(1000)) == where


def test_two_never_get_the_same(memory: SpareMemory) -> None:
    buffers = [memory.take(1000) for _ in range(5)]
    assert len({address(each) for each in buffers}) == 5


def test_a_buffer_that_is_too_small_or_far_too_large_is_left_alone(memory: SpareMemory) -> None:
    buffer = memory.take(1000)
    where = address(buffer)
    del buffer
    assert address(memory.take(1001)) != where
    assert address(memory.take(499)) != where
    fitting = memory.take(500)
    assert address(fitting) == where
    assert len(fitting) == 500


def test_no_more_than_the_bound_is_kept(memory: SpareMemory) -> None:
    buffers = [memory.take(1000) for _ in range(BUFFERS_MAX + 3)]
    buffers.clear()
    assert len(memory._spare) == BUFFERS_MAX
    assert memory._given == {}


def test_what_outlives_the_memory_stays_as_it_is(rng: random.Random) -> None:
    memory = SpareMemory()
    buffer = memory.take(1000)
    data = rng.randbytes(1000)
    buffer[:] = np.frombuffer(data, dtype=np.uint8)
    del memory
    assert buffer.tobytes() == data


def test_slivers_of_an_earlier_encode_never_change(rng: random.Random, memory: SpareMemory) -> None:
    """A transport may still hold a sliver when the next blob is encoded into what was free by then."""
    kept = []
    for size in (5000, 5100, 4000, 5000, 5050, 5000):
        data = rng.randbytes(size)
        expected = encode(data, 10)
        encoded = run(EncodeJob(data, 10, memory=memory))
        assert encoded.metadata == expected.metadata
        index = rng.randrange(10)
        kept.append((encoded.primary(index).data, bytes(expected.primary(index).data)))
        del encoded
    for sliver, expected_bytes in kept:
        assert sliver == expected_bytes


def test_used_memory_changes_nothing(rng: random.Random, memory: SpareMemory) -> None:
    """Also the padding and the corner are written anew each time."""
    memory.take(10_000).fill(0xFF)
    memory.take(20_000).fill(0xFF)
    data = rng.randbytes(4001)
    encoded = run(EncodeJob(data, 7, memory=memory))
    expected = encode(data, 7)
    assert (encoded.top == expected.top).all()
    assert (encoded.bottom == expected.bottom).all()
    assert encoded.metadata == expected.metadata
