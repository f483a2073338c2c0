"""Blobs of no encoding: whoever has checked that may let go of them, whatever it has signed for."""

from __future__ import annotations

from testnet.sim.habits.dishonest_writer import DishonestWriter
from testnet.sim.world import World
from wire.ids import BlobId


def crooked_blobs(world: World) -> set[BlobId]:
    """Return the blobs that dishonest writers have made; nobody else makes any."""
    habits = [machine.habit for machine in world.machines.values()]
    return {blob_id for habit in habits if isinstance(habit, DishonestWriter) for blob_id in habit.of_no_encoding}
