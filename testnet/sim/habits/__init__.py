"""Byzantine peers: production nodes, each with one bad habit that is built into what surrounds it.

A habit bends the seams of a node, or acts beside it with its keys; the node's own code stays as it ships. Judges demand
nothing of a machine that has a habit, and everything of all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from testnet.sim.machine import NodeParts
    from testnet.sim.world import World


class Habit(Protocol):
    """One way of being dishonest."""

    @property
    def name(self) -> str:
        """A word or two with hyphens, such as `sign-and-drop`."""
        ...

    def bend(self, parts: NodeParts, world: World) -> NodeParts:
        """Return what the node is built from instead."""
        ...

    async def run(self, parts: NodeParts, world: World) -> None:
        """Do what this peer does beside its node, in its process, until cancelled; it may return at once."""
        ...
