"""Every habit with a way to make it, so that a scenario can draw some from its seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from testnet.sim.habits.bending import BadHabit
from testnet.sim.habits.capacity_lies import CapacityLie, CapacityLies
from testnet.sim.habits.clique import CliqueCertificates
from testnet.sim.habits.dishonest_writer import DishonestWriter
from testnet.sim.habits.equivocation import Equivocation
from testnet.sim.habits.flood import Flood
from testnet.sim.habits.foreign_receipts import ForeignReceipts
from testnet.sim.habits.forged_receipts import ForgedReceipts
from testnet.sim.habits.many_identities import ManyIdentities
from testnet.sim.habits.never_reads import NeverReads
from testnet.sim.habits.replay import Replay
from testnet.sim.habits.sign_and_drop import SignAndDrop
from testnet.sim.habits.wrong_bytes import WrongBytes

SOON_S = 20.0
"""After so many seconds slivers go that were kept for a while."""

CROWD = 8
"""Identities of one operator among other bad peers."""

ALL_HABITS: tuple[Callable[[], BadHabit], ...] = (
    SignAndDrop,
    partial(SignAndDrop, keep_s=SOON_S),
    WrongBytes,
    ForgedReceipts,
    Equivocation,
    Replay,
    Flood,
    *(partial(CapacityLies, lie) for lie in CapacityLie),
    NeverReads,
    CliqueCertificates,
    ForeignReceipts,
    DishonestWriter,
    partial(ManyIdentities, CROWD),
)
