"""The kernel in numpy and hashlib: the oracle that the compiled one is tested against, and the fallback.

It is meant to be read: `reed_solomon` and `transform` are the code, `layout` is how symbols spell labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from crypto.hashing import HASH_BYTES, Buffer
from crypto.merkle import (
    MerkleTree,
    hash_leaves,
    leaf_hash,
    merkle_root,
    node_hash,
    page_root_of_hashes,
    root_of_hashes,
)
from p2pnode.coding.field import Octets
from p2pnode.coding.interface import EncodeBuffers, ExpandedSliver, Kernel, Pattern
from p2pnode.coding.layout import to_labels, to_octets
from p2pnode.coding.reed_solomon import Code, extend, restore
from p2pnode.coding.shape import Shape

_BATCH_BYTES = 1 << 19
"""Matrices go through numpy in batches of about this size: enough for its cost per call, little beside a blob."""


class ReferenceKernel:
    """Plain numpy. It computes what the compiled kernel computes, bit for bit, and checks nothing."""

    @property
    def name(self) -> str:
        """What P2PNODE_KERNEL calls it."""
        return "reference"

    def encode_rows(self, shape: Shape, data: Octets, top: Octets, rows: range) -> None:
        """Copy the message, pad it with zeros, and extend each row."""
        code = Code(shape.columns, shape.n - shape.columns)
        step = max(1, _BATCH_BYTES // (shape.n * shape.symbol_bytes))
        row_bytes = shape.columns * shape.symbol_bytes
        for start in range(rows.start, rows.stop, step):
            end = min(start + step, rows.stop)
            present = data[start * row_bytes : end * row_bytes]
            message = np.zeros((end - start) * row_bytes, dtype=np.uint8)
            message[: len(present)] = present
            symbols = message.reshape(end - start, shape.columns, shape.symbol_bytes)
            top[start:end, : shape.columns] = symbols
            top[start:end, shape.columns :] = _extended(code, symbols.swapaxes(0, 1)).swapaxes(0, 1)

    def encode_columns(self, shape: Shape, buffers: EncodeBuffers, pages: range) -> None:
        """Extend each page of columns, keep what slivers need of it, and hash all of it."""
        height = buffers.page_columns.bit_length() - 1
        for page in pages:
            start = page * buffers.page_columns
            end = min(start + buffers.page_columns, shape.n)
            hashes = self._encode_page(shape, buffers, range(start, end))
            buffers.row_nodes[:, page] = _joined(page_root_of_hashes(each, height=height) for each in hashes)
            buffers.column_roots[start:end] = _joined(root_of_hashes(each) for each in zip(*hashes, strict=True))

    def _encode_page(self, shape: Shape, buffers: EncodeBuffers, columns: range) -> list[list[bytes]]:
        """Extend some columns; return for each row the hashes of its symbols in them."""
        code = Code(shape.rows, shape.n - shape.rows)
        hashes: list[list[bytes]] = [[] for _ in range(shape.n)]
        step = max(1, _BATCH_BYTES // (shape.n * shape.symbol_bytes))
        for start in range(columns.start, columns.stop, step):
            end = min(start + step, columns.stop)
            upper = buffers.top[:, start:end]
            lower = _extended(code, upper)
            stored = max(0, min(end, shape.columns) - start)
            if buffers.bottom is not None:
                buffers.bottom[:, start : start + stored] = lower[:, :stored]
            batch = hash_leaves(chain(_split(upper), _split(lower)))
            for row, row_hashes in enumerate(hashes):
                row_hashes.extend(batch[row * (end - start) : (row + 1) * (end - start)])
        return hashes

    def fold(self, nodes: Octets) -> Octets:
        """Fold each list on its own."""
        return _joined([root_of_hashes([node.tobytes() for node in each]) for each in nodes])

    def sliver_hashes(self, code: Code, slivers: Octets) -> Octets:
        """Extend and hash each sliver on its own."""
        return _joined(
            [merkle_root(chain(_split(sliver), _split(_extended_sliver(code, sliver)))) for sliver in slivers]
        )

    def expand(self, code: Code, sliver: Octets) -> ExpandedSliver:
        """Extend the sliver and build its tree."""
        recovery = _extended_sliver(code, sliver)
        tree = MerkleTree.from_leaves(chain(_split(sliver), _split(recovery)))
        return ExpandedSliver(recovery, _joined([node for level in tree.levels for node in level]))

    def merkle_root(self, leaves: Octets) -> bytes:
        """Return the root."""
        return root_of_hashes(hash_leaves(_split(leaves)))

    def follow_paths(
        self, leaves: Sequence[Buffer], siblings: Sequence[bytes], *, index: int, height: int
    ) -> list[bytes]:
        """Fold the siblings over each leaf, bottom-up; an even index means that the node is the left one."""
        ends = []
        for leaf, proof in zip(leaves, siblings, strict=True):
            node = leaf_hash(leaf)
            for level in range(height):
                sibling = proof[level * HASH_BYTES : (level + 1) * HASH_BYTES]
                node = node_hash(sibling, node) if index >> level & 1 else node_hash(node, sibling)
            ends.append(node)
        return ends

    def locate(self, code: Code, *, received: Sequence[int], wanted: Sequence[int]) -> Pattern:
        """Return a pattern without anything prepared: `restore` interpolates from the positions."""
        return Pattern(code, tuple(received), tuple(wanted), np.empty(0, dtype=np.uint8))

    def restore(self, pattern: Pattern, inputs: Sequence[Octets], outputs: Sequence[Octets]) -> None:
        """Interpolate batches of codewords."""
        if not pattern.wanted:
            return
        words, symbol_bytes = inputs[0].shape
        step = max(1, _BATCH_BYTES // (len(inputs) * symbol_bytes))
        for start in range(0, words, step):
            batch = np.stack([array[start : start + step] for array in inputs])
            labels = to_labels(batch).reshape(len(inputs), -1)
            restored = restore(pattern.code, labels, positions=pattern.received, wanted=pattern.wanted)
            symbols = to_octets(restored.reshape(len(outputs), -1, symbol_bytes // 2))
            for array, octets in zip(outputs, symbols, strict=True):
                array[start : start + step] = octets


def _extended(code: Code, originals: Octets) -> Octets:
    """Return the recovery symbols of many codewords at once; the first axis counts the symbols of a codeword."""
    count, width, symbol_bytes = originals.shape
    labels = to_labels(originals).reshape(count, -1)
    return to_octets(extend(code, labels).reshape(-1, width, symbol_bytes // 2))


def _extended_sliver(code: Code, sliver: Octets) -> Octets:
    return to_octets(extend(code, to_labels(sliver)))


def _split(symbols: Octets) -> Iterator[memoryview]:
    """Yield the symbols one by one, as what can be hashed."""
    view = np.ascontiguousarray(symbols).data.cast("B")
    size = symbols.shape[-1]
    return (view[start : start + size] for start in range(0, len(view), size))


def _joined(hashes: Iterable[bytes]) -> Octets:
    return np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, HASH_BYTES)


REFERENCE: Kernel = ReferenceKernel()
"""There is nothing in it, so one is enough."""
