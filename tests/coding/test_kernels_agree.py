"""Every path of the compiled kernel gives, bit for bit, what the reference gives, and touches nothing else."""

import itertools
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from p2pnode import bft
from p2pnode.coding.field import Octets
from p2pnode.coding.interface import EncodeBuffers, Kernel, new_buffers
from p2pnode.coding.reed_solomon import Code
from p2pnode.coding.reference import REFERENCE
from p2pnode.coding.shape import Shape
from tests.coding.kernels import KERNEL_NAMES, kernel_named

SYMBOL_SIZES = [*range(2, 132, 2), 192, 462, 1022, 1024, 1026, 2050]
"""All residues modulo the 64 bytes of a block, with and without full blocks before them."""

MARK = 0xA5
"""What memory holds that nobody may touch."""


@pytest.fixture(params=KERNEL_NAMES)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """Each kernel that can run here."""
    return kernel_named(str(request.param))


def octets(rng: random.Random, *shape: int) -> Octets:
    return np.frombuffer(rng.randbytes(int(np.prod(shape))), dtype=np.uint8).reshape(shape)


def marked(*shape: int) -> Octets:
    return np.full(shape, MARK, dtype=np.uint8)


def shape_of(n: int, symbol_bytes: int) -> Shape:
    return Shape(n, bft.primary_source(n), bft.secondary_source(n), symbol_bytes)


def empty_buffers(shape: Shape) -> EncodeBuffers:
    top = marked(shape.rows, shape.n, shape.symbol_bytes)
    return new_buffers(shape, top=top, bottom=marked(shape.n - shape.rows, shape.columns, shape.symbol_bytes))


def lower(buffers: EncodeBuffers) -> Octets:
    assert buffers.bottom is not None
    return buffers.bottom


def encoded(kernel: Kernel, shape: Shape, data: Octets) -> list[bytes]:
    """Return everything that an encode computes."""
    buffers = empty_buffers(shape)
    kernel.encode_rows(shape, data, buffers.top, range(shape.rows))
    kernel.encode_columns(shape, buffers, range(buffers.pages))
    roots = kernel.fold(buffers.row_nodes.copy())
    return [each.tobytes() for each in (buffers.top, lower(buffers), buffers.row_nodes, buffers.column_roots, roots)]


@pytest.mark.parametrize("symbol_bytes", SYMBOL_SIZES[::4])
def test_the_hashes_are_the_same_when_nobody_wants_the_slivers(
    rng: random.Random, kernel: Kernel, symbol_bytes: int
) -> None:
    shape = shape_of(rng.randrange(4, 70), symbol_bytes)
    data = octets(rng, shape.matrix_bytes)
    buffers = new_buffers(shape, top=marked(shape.rows, shape.n, shape.symbol_bytes), bottom=None)
    kernel.encode_rows(shape, data, buffers.top, range(shape.rows))
    kernel.encode_columns(shape, buffers, range(buffers.pages))
    _, _, *expected, _ = encoded(REFERENCE, shape, data)
    assert [buffers.row_nodes.tobytes(), buffers.column_roots.tobytes()] == expected


@pytest.mark.parametrize("symbol_bytes", SYMBOL_SIZES)
def test_an_encoding_is_the_same_for_every_size_of_symbols(
    rng: random.Random, kernel: Kernel, symbol_bytes: int
) -> None:
    n = rng.randrange(4, 36)
    shape = shape_of(n, symbol_bytes)
    data = octets(rng, rng.randrange(shape.matrix_bytes + 1))
    assert encoded(kernel, shape, data) == encoded(REFERENCE, shape, data)


@pytest.mark.parametrize("n", [*range(4, 20), 31, 33, 49, 64, 65, 97, 100, 130])
def test_an_encoding_is_the_same_for_every_number_of_shards(rng: random.Random, kernel: Kernel, n: int) -> None:
    shape = shape_of(n, 2 * rng.randrange(1, 40))
    data = octets(rng, shape.matrix_bytes)
    assert encoded(kernel, shape, data) == encoded(REFERENCE, shape, data)


@pytest.mark.parametrize("page_columns", [1, 2, 4, 8, 16, 32, 64])
def test_pages_of_every_width_are_computed(rng: random.Random, kernel: Kernel, page_columns: int) -> None:
    shape = shape_of(67, 68)
    data = octets(rng, shape.matrix_bytes)
    results = []
    for each in (kernel, REFERENCE):
        first = empty_buffers(shape)
        row_nodes = marked(67, -(-67 // page_columns), 32)
        buffers = EncodeBuffers(first.top, first.bottom, row_nodes, first.column_roots, page_columns)
        each.encode_rows(shape, data, buffers.top, range(shape.rows))
        each.encode_columns(shape, buffers, range(buffers.pages))
        results.append([row_nodes.tobytes(), buffers.column_roots.tobytes(), lower(buffers).tobytes()])
    assert results[0] == results[1]


def test_ranges_in_any_order_and_at_once_give_the_whole_and_touch_nothing_else(
    rng: random.Random, kernel: Kernel
) -> None:
    shape = shape_of(40, 150)
    data = octets(rng, shape.matrix_bytes - 99)
    whole, parts = empty_buffers(shape), empty_buffers(shape)
    kernel.encode_rows(shape, data, whole.top, range(shape.rows))
    kernel.encode_columns(shape, whole, range(whole.pages))
    kernel.encode_rows(shape, data, parts.top, range(3, 5))
    assert (parts.top[3:5] == whole.top[3:5]).all()
    assert (parts.top[:3] == MARK).all()
    assert (parts.top[5:] == MARK).all()
    rows = [range(start, min(start + 3, shape.rows)) for start in range(0, shape.rows, 3)]
    pages = [range(page, page + 1) for page in range(whole.pages)]
    rng.shuffle(rows)
    rng.shuffle(pages)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda part: kernel.encode_rows(shape, data, parts.top, part), rows))
        kernel.encode_columns(shape, parts, pages.pop())
        list(pool.map(lambda part: kernel.encode_columns(shape, parts, part), pages))
    assert (parts.top == whole.top).all()
    assert np.array_equal(lower(parts), lower(whole))
    assert (parts.row_nodes == whole.row_nodes).all()
    assert (parts.column_roots == whole.column_roots).all()


def test_a_range_of_nothing_changes_nothing(rng: random.Random, kernel: Kernel) -> None:
    shape = shape_of(7, 10)
    buffers = empty_buffers(shape)
    kernel.encode_rows(shape, octets(rng, 20), buffers.top, range(2, 2))
    assert (buffers.top == MARK).all()
    kernel.encode_columns(shape, buffers, range(1, 1))
    assert (lower(buffers) == MARK).all()


@pytest.mark.parametrize("largest", [8, 40, 300, 999])
def test_every_code_extends_and_hashes_alike(rng: random.Random, kernel: Kernel, largest: int) -> None:
    """Codes of any rate, not those of blobs only; several slivers that stand apart, and one alone."""
    for _ in range(4):
        originals = rng.randrange(1, largest)
        code = Code(originals, rng.randrange(1, largest + 1 - originals))
        symbol_bytes = 2 * rng.randrange(1, 80 if largest < 100 else 8)
        matrix = octets(rng, rng.randrange(1, 12), originals + 3, symbol_bytes)
        hashes = kernel.sliver_hashes(code, matrix[:, :originals])
        assert hashes.tobytes() == REFERENCE.sliver_hashes(code, matrix[:, :originals]).tobytes()
        expanded = kernel.expand(code, matrix[0, :originals])
        expected = REFERENCE.expand(code, matrix[0, :originals])
        assert expanded.recovery.tobytes() == expected.recovery.tobytes()
        assert expanded.nodes.tobytes() == expected.nodes.tobytes()
        assert expanded.nodes[-1].tobytes() == hashes[0].tobytes()


def restored(kernel: Kernel, code: Code, positions: list[int], wanted: list[int], word: Octets) -> Octets:
    """Return the wanted symbols, restored into lines that stand apart, and check what stands between them."""
    words, symbol_bytes = word.shape[1:]
    inputs = [word[position] for position in positions]
    results = marked(words + 1, len(wanted) + 1, symbol_bytes)
    kernel.restore(
        kernel.locate(code, received=positions, wanted=wanted),
        inputs,
        [results[:words, index] for index in range(len(wanted))],
    )
    assert (results[words] == MARK).all()
    assert (results[:, len(wanted)] == MARK).all()
    return results[:words, : len(wanted)].swapaxes(0, 1)


def codeword(rng: random.Random, code: Code, *, words: int, symbol_bytes: int) -> Octets:
    """Return all symbols of some codewords: (n, words, symbol bytes)."""
    originals = octets(rng, words, code.originals, symbol_bytes)
    recovery = [REFERENCE.expand(code, each).recovery for each in originals]
    return np.concatenate((originals, np.stack(recovery)), axis=1).swapaxes(0, 1).copy()


@pytest.mark.parametrize("n", [4, 5, 6, 7, 8])
def test_every_erasure_pattern_of_a_small_code_is_restored(rng: random.Random, kernel: Kernel, n: int) -> None:
    for originals in (bft.primary_source(n), bft.secondary_source(n)):
        code = Code(originals, n - originals)
        word = codeword(rng, code, words=3, symbol_bytes=2 * rng.randrange(1, 40))
        for positions in itertools.combinations(range(n), originals):
            wanted = [index for index in range(originals) if index not in positions]
            assert (restored(kernel, code, list(positions), wanted, word) == word[wanted]).all()


@pytest.mark.parametrize("n", [9, 10, 13, 31, 33, 64, 100, 300])
def test_random_patterns_are_restored(rng: random.Random, kernel: Kernel, n: int) -> None:
    for originals in (bft.primary_source(n), bft.secondary_source(n), rng.randrange(1, n)):
        code = Code(originals, n - originals)
        word = codeword(rng, code, words=rng.randrange(1, 5), symbol_bytes=2 * rng.randrange(1, 80))
        positions = rng.sample(range(n), originals)
        missing = [index for index in range(originals) if index not in positions]
        wanted = rng.sample(missing, rng.randrange(len(missing) + 1))
        assert (restored(kernel, code, positions, wanted, word) == word[wanted]).all()


def test_the_largest_codes_are_restored_from_recovery_symbols(rng: random.Random, kernel: Kernel) -> None:
    for originals in (334, 667):
        code = Code(originals, 1000 - originals)
        word = codeword(rng, code, words=1, symbol_bytes=6)
        positions = list(range(1000 - originals, 1000))
        wanted = [0, 1, 332, min(originals, 1000 - originals) - 1]
        assert (restored(kernel, code, positions, sorted(set(wanted)), word) == word[sorted(set(wanted))]).all()


@pytest.mark.parametrize("leaf_bytes", [1, 62, 63, 64, 126, 127, 128, 129, 190, 191, 254, 255, 256, 383, 1000])
def test_trees_are_the_same_for_leaves_of_every_length(rng: random.Random, kernel: Kernel, leaf_bytes: int) -> None:
    for count in (1, 2, 3, rng.randrange(4, 40), 64, 65):
        leaves = octets(rng, count, leaf_bytes)
        assert kernel.merkle_root(leaves) == REFERENCE.merkle_root(leaves)


@pytest.mark.parametrize("height", [0, 1, 5, 10])
def test_paths_are_followed_alike(rng: random.Random, kernel: Kernel, height: int) -> None:
    for count in (0, 1, 9, 1001):
        leaf_bytes, index = rng.randrange(300), rng.randrange(1 << height)
        leaves = [rng.randbytes(leaf_bytes) for _ in range(count)]
        siblings = [rng.randbytes(32 * height) for _ in range(count)]
        ends = kernel.follow_paths(leaves, siblings, index=index, height=height)
        assert ends == REFERENCE.follow_paths(leaves, siblings, index=index, height=height)
