"""Judges outside the nodes: each holds one of ARCHITECTURE's invariants against what really is, for each node apart.

Redundancy hides the faults of single nodes, so a judge never asks whether the network as a whole still copes. It reads
what a node said on the wire and what is on its disk; it never trusts what a node says of itself.
"""

from __future__ import annotations

from typing import Protocol


class JudgementError(AssertionError):
    """An invariant does not hold. Names the judge, the node, and the blob or whatever else it is about."""

    def __init__(self, judge: str, what: str, *, node: str = "", subject: str = "") -> None:
        """Say what is wrong; `node` is the name of a machine, `subject` a blob id, file reference or table."""
        super().__init__(f"{judge}: {node + ': ' if node else ''}{what}")
        self.judge = judge
        self.node = node
        self.subject = subject


class Judge(Protocol):
    """One invariant. It watches from its making on."""

    @property
    def name(self) -> str:
        """A word or two with hyphens, such as `promises-kept`."""
        ...

    async def check(self) -> int:
        """Check what can be checked now; return how many things were looked at. Raises `JudgementError`."""
        ...
