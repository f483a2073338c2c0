"""What a node holds at a moment, to tell whether connections that came and went left anything behind."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass

import trio

from p2pnode.network.libp2p_adapter import Libp2pNetwork

_LOOK_EVERY_S = 0.02
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Counts of this process and of what its networks reserve."""

    reserved: bool
    tasks: int
    descriptors: int
    objects: int
    memory_mib: float

    def is_at(self, base: Held, *, objects: int = 0) -> bool:
        """Tell whether nothing is held beyond the base, but for so many objects that caches may have."""
        return (
            not self.reserved
            and self.tasks <= base.tasks
            and self.descriptors <= base.descriptors
            and self.objects <= base.objects + objects
        )


def held(*networks: Libp2pNetwork) -> Held:
    """Count what is held now."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - no file on any disk
        pages = int(statm.read().split()[1])
    return Held(
        reserved=not all(network.connections.resources.is_idle for network in networks),
        tasks=trio.lowlevel.current_statistics().tasks_living,
        descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - as above
        objects=len(gc.get_objects()),
        memory_mib=pages * _PAGE_BYTES / 2**20,
    )


async def settled(base: Held, *networks: Libp2pNetwork, timeout_s: float, objects: int = 0) -> Held:
    """Wait until what is held is at its base, and return it; what is left over after `timeout_s` else."""
    now = held(*networks)
    with trio.move_on_after(timeout_s):
        while not now.is_at(base, objects=objects):
            await trio.sleep(_LOOK_EVERY_S)
            now = held(*networks)
    return now
