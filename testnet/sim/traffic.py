"""What went over the simulated wires: messages and bytes of each node by protocol or topic, and what came twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

OTHER = "other"
"""The kind of what belongs to no protocol: the opening, reset and end of things."""


@dataclass(slots=True)
class Counts:
    """What one node sent and was sent of one kind, and what it got of it though it had it already."""

    messages: int = 0
    """Packets of a stream, or gossiped messages and control entries."""
    bytes: int = 0
    received_bytes: int = 0
    """What others sent to it, whether it arrived or not."""
    duplicates: int = 0
    duplicate_bytes: int = 0

    def add(self, other: Counts) -> None:
        """Add another's counts to these."""
        self.messages += other.messages
        self.bytes += other.bytes
        self.received_bytes += other.received_bytes
        self.duplicates += other.duplicates
        self.duplicate_bytes += other.duplicate_bytes

    def copy(self) -> Counts:
        """Return these counts as they are now."""
        return replace(self)

    def since(self, earlier: Counts) -> Counts:
        """Return what was counted after an earlier copy was made."""
        return Counts(
            messages=self.messages - earlier.messages,
            bytes=self.bytes - earlier.bytes,
            received_bytes=self.received_bytes - earlier.received_bytes,
            duplicates=self.duplicates - earlier.duplicates,
            duplicate_bytes=self.duplicate_bytes - earlier.duplicate_bytes,
        )


class Traffic:
    """Counts of a whole world, from its start; take the difference of two `total`s for a part of it."""

    def __init__(self) -> None:
        """Nothing was sent yet."""
        self._counts: dict[str, dict[str, Counts]] = {}

    def sent(self, node: str, target: str, kind: str, size: int) -> None:
        """Count a message of `size` bytes that a node sends to another."""
        counts = self.of(node, kind)
        counts.messages += 1
        counts.bytes += size
        self.of(target, kind).received_bytes += size

    def duplicate(self, node: str, kind: str, size: int) -> None:
        """Count a gossiped message that a node got and had already; its sender counted it too."""
        counts = self.of(node, kind)
        counts.duplicates += 1
        counts.duplicate_bytes += size

    def of(self, node: str, kind: str) -> Counts:
        """Return the counts of one node and kind, which go on counting."""
        kinds = self._counts.get(node)
        if kinds is None:
            kinds = self._counts[node] = {}
        counts = kinds.get(kind)
        if counts is None:
            counts = kinds[kind] = Counts()
        return counts

    def kinds(self) -> list[str]:
        """Return every protocol and topic that anything was sent of, sorted."""
        return sorted({kind for kinds in self._counts.values() for kind in kinds})

    def total(self, *, kind: str | None = None, nodes: Iterable[str] | None = None) -> Counts:
        """Return the sum over these nodes (all unless given) of one kind (all unless given)."""
        total = Counts()
        for node in self._counts if nodes is None else nodes:
            for each, counts in self._counts.get(node, {}).items():
                if kind in (None, each):
                    total.add(counts)
        return total
