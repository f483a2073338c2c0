"""The wheel `reed-solomon-leopard` and hashlib, joined as a Python program without a compiler would.

It computes the same code: its blob ids are compared with ours before anything is measured.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from benchmarks.coding_questions import Question, symbols_for_first_primary
from crypto.merkle import hash_leaves, root_of_hashes, verify_proof
from p2pnode.coding import EncodedBlob, SymbolProof, encode
from p2pnode.coding.metadata import metadata_of_hashes
from p2pnode.coding.shape import Shape
from wire.ids import Axis


class Library(Protocol):
    """The two functions of the wheel."""

    def encode(self, data: list[bytes], recovery_count: int) -> list[bytes]:
        """Return the recovery symbols."""
        ...

    def decode(
        self, original_count: int, recovery_count: int, original: dict[int, bytes], recovery: dict[int, bytes]
    ) -> dict[int, bytes]:
        """Return the originals that were missing."""
        ...


class Wheel:
    """The contestant."""

    def __init__(self) -> None:
        """Find the wheel."""
        self._library = cast("Library", importlib.import_module("reed_solomon_leopard"))
        self._shape = Shape.of(0, n=4)
        self._data = b""
        self._encoded: EncodedBlob | None = None
        self._received: dict[int, list[bytes]] = {}
        self._symbols: tuple[SymbolProof, ...] = ()

    def prepare(self, data: bytes, question: Question) -> None:
        """Encode once with our code where slivers are needed."""
        if data is not self._data or question.n != self._shape.n:
            self._data, self._shape = data, Shape.of(len(data), n=question.n)
            self._encoded, self._symbols = None, ()
        if question.work in {"verify", "decode", "recover"}:
            self._encoded = encoded = self._encoded or encode(data, question.n)
            self._received = {index: self._split(encoded.primary(index).data) for index in question.chosen}
        if question.work == "recover" and self._encoded and not self._symbols:
            self._symbols = symbols_for_first_primary(self._encoded)

    def works(self) -> dict[str, Callable[[], object]]:
        """Return what it can do."""
        return {
            "encode": self.blob_id,
            "metadata": self.blob_id,
            "verify": self._verify,
            "decode": self._decode,
            "recover": self._recover,
        }

    def blob_id(self) -> bytes:
        """Return the blob's id, after extending and hashing all slivers."""
        shape = self._shape
        symbols = self._split(self._data.ljust(shape.matrix_bytes, b"\0"))
        message = [symbols[start : start + shape.columns] for start in range(0, len(symbols), shape.columns)]
        rows = [self._extended(row) for row in message]
        columns = [self._extended(column) for column in zip(*rows, strict=True)]
        hashes = [hash_leaves(column) for column in columns]
        metadata = metadata_of_hashes(
            len(self._data),
            primary_hashes=[root_of_hashes(row) for row in zip(*hashes, strict=True)],
            secondary_hashes=[root_of_hashes(column) for column in hashes],
        )
        return metadata.blob_id

    def _verify(self) -> None:
        assert self._encoded is not None
        for sliver in (self._encoded.primary(0), self._encoded.secondary(self._shape.n - 1)):
            self._check(self._split(sliver.data), sliver.axis, sliver.index)

    def _decode(self) -> bytes:
        """Decode column by column, and hash the rows that were decoded, as we do."""
        shape = self._shape
        rows: dict[int, list[bytes]] = {index: list(row) for index, row in self._received.items() if index < shape.rows}
        missing = [index for index in range(shape.rows) if index not in rows]
        for index in missing:
            rows[index] = []
        for position in range(shape.columns):
            restored = self._restore({index: row[position] for index, row in self._received.items()}, shape.rows)
            for index in missing:
                rows[index].append(restored[index])
        for index in missing:
            self._check(rows[index], Axis.PRIMARY, index)
        return b"".join(b"".join(rows[index]) for index in range(shape.rows))[: len(self._data)]

    def _recover(self) -> None:
        assert self._encoded is not None
        hashes, n = self._encoded.metadata.secondary_hashes, self._shape.n
        for each in self._symbols:
            verify_proof(hashes[each.source_index], each.data, index=0, leaf_count=n, proof=each.proof)
        received = {each.source_index: each.data for each in self._symbols}
        known = {index: symbol for index, symbol in received.items() if index < self._shape.columns}
        row = known | self._restore(received, self._shape.columns)
        self._check([row[index] for index in range(self._shape.columns)], Axis.PRIMARY, 0)

    def _split(self, data: bytes | memoryview) -> list[bytes]:
        size = self._shape.symbol_bytes
        return [bytes(data[start : start + size]) for start in range(0, len(data), size)]

    def _extended(self, originals: Sequence[bytes]) -> list[bytes]:
        return [*originals, *self._library.encode(list(originals), self._shape.n - len(originals))]

    def _check(self, originals: Sequence[bytes], axis: Axis, index: int) -> None:
        assert self._encoded is not None
        assert root_of_hashes(hash_leaves(self._extended(originals))) == self._encoded.metadata.hash_of(axis, index)

    def _restore(self, received: dict[int, bytes], originals: int) -> dict[int, bytes]:
        known = {index: symbol for index, symbol in received.items() if index < originals}
        others = {index - originals: symbol for index, symbol in received.items() if index >= originals}
        return self._library.decode(originals, self._shape.n - originals, known, others)
