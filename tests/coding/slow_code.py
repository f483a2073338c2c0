"""The second witness: the whole code in plain integers, straight from the definitions, sharing nothing with ours.

Field elements are polynomials over GF(2), multiplied bit by bit. The Reed-Solomon code is its closed form. Trees are
folded level by level. It is far too slow for use, and meant to be read beside `docs/spec/RED_STUFF.md`.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

_MODULUS = 0x1002D
_CANTOR = "0001 ACCA 3C0E 163E C582 ED2E 914C 4012 6C98 10D8 6A72 B900 FDB8 FB34 FF38 991E"


def times(first: int, second: int) -> int:
    """Multiply two field elements."""
    product = 0
    while second:
        if second & 1:
            product ^= first
        second >>= 1
        first <<= 1
        if first >> 16:
            first ^= _MODULUS
    return product


def inverse(element: int) -> int:
    """Return the element to the power 2**16 - 2."""
    result = 1
    for _ in range(15):
        element = times(element, element)
        result = times(result, element)
    return result


def element_of(label: int) -> int:
    """Return the sum of the basis elements that the label's bits choose."""
    element = 0
    for bit, basis in enumerate(_CANTOR.split()):
        if label >> bit & 1:
            element ^= int(basis, 16)
    return element


@cache
def _labels() -> dict[int, int]:
    return {element_of(label): label for label in range(1 << 16)}


def label_times(first: int, second: int) -> int:
    """Multiply two labels."""
    return _labels()[times(element_of(first), element_of(second))]


@cache
def coefficient(k: int, r: int, *, original: int, recovery: int) -> int:
    """Return the label by which an original goes into a recovery symbol: the closed form of spec section 4."""
    k2, r2 = _power_of_two(k), _power_of_two(r)
    is_high = k2 > r2 or (k2 == r2 and k <= r)
    chunk = r2 if is_high else k2
    upper, lower = (chunk + original, recovery) if is_high else (chunk + recovery, original)
    scale = element_of(upper >> (chunk.bit_length() - 1))
    return _labels()[times(scale, inverse(element_of(upper ^ lower)))]


def _power_of_two(count: int) -> int:
    power = 1
    while power < count:
        power *= 2
    return power


def recovery_label(originals: list[int], r: int, index: int) -> int:
    """Return one recovery symbol of one column of labels."""
    total = 0
    for position, label in enumerate(originals):
        total ^= label_times(label, coefficient(len(originals), r, original=position, recovery=index))
    return total


def labels_of(symbol: bytes) -> list[int]:
    """Return the labels that a symbol's bytes spell."""
    labels = []
    for start in range(0, len(symbol), 64):
        block = symbol[start : start + 64]
        half = len(block) // 2
        labels += [block[t] + 256 * block[half + t] for t in range(half)]
    return labels


def symbol_of(labels: list[int]) -> bytes:
    """Return the bytes that spell these labels."""
    symbol = b""
    for start in range(0, len(labels), 32):
        block = labels[start : start + 32]
        symbol += bytes(label % 256 for label in block) + bytes(label // 256 for label in block)
    return symbol


def extended(symbols: list[bytes], n: int) -> list[bytes]:
    """Return the symbols and the recovery symbols that make them n."""
    columns = list(zip(*(labels_of(symbol) for symbol in symbols), strict=True))
    r = n - len(symbols)
    return symbols + [symbol_of([recovery_label(list(column), r, index) for column in columns]) for index in range(r)]


@dataclass(frozen=True)
class SlowBlob:
    """The expanded matrix and what follows from it."""

    matrix: list[list[bytes]]
    primary_hashes: list[bytes]
    secondary_hashes: list[bytes]
    root: bytes
    blob_id: bytes


def encoded(data: bytes, n: int) -> SlowBlob:
    """Encode a blob: spec sections 1 to 3."""
    f = (n - 1) // 3
    rows, columns = n - 2 * f, n - f
    size = max(1, -(-len(data) // (rows * columns)))
    size += size % 2
    padded = data.ljust(rows * columns * size, b"\x00")
    symbols = [padded[start : start + size] for start in range(0, len(padded), size)]
    top = [extended(symbols[row * columns : (row + 1) * columns], n) for row in range(rows)]
    by_column = [extended([row[column] for row in top], n) for column in range(n)]
    matrix = [[column[row] for column in by_column] for row in range(n)]
    primary_hashes = [root_of(row) for row in matrix]
    secondary_hashes = [root_of(column) for column in by_column]
    root = root_of([primary_hashes[i] + secondary_hashes[n - 1 - i] for i in range(n)])
    blob_id = _hash(b"\x01" + len(data).to_bytes(8, "little") + root)
    return SlowBlob(matrix, primary_hashes, secondary_hashes, root, blob_id)


def root_of(leaves: list[bytes]) -> bytes:
    """Return the Merkle root over at least one leaf."""
    level = [_hash(b"\x00" + leaf) for leaf in leaves]
    while len(level) > 1:
        if len(level) % 2:
            level.append(bytes(32))
        level = [_hash(b"\x01" + level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()
