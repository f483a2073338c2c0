"""What other ways to store would move for the same loss, at the least: replication, and a one-dimensional code.

All of them survive the loss of the same nodes: any P of n are enough, as with ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pnode import bft
from p2pnode.protocols.repair.exchange import symbols_of_pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to store a blob on n nodes."""

    way: str
    stored_per_byte: float
    """Bytes that all nodes keep for each byte of a blob."""
    moved_per_byte: float
    """Bytes moved for each byte that was lost, without proofs and headers."""
    moved_per_blob_byte: float
    """Bytes moved for each byte of a blob."""


def ways(n: int, lost: int) -> list[Way]:
    """Return what rebuilding costs when `lost` of n nodes are lost at once.

    Replication keeps a copy on n - P + 1 of the n nodes, and copies each lost one from another node. Reed-Solomon of P
    data symbols gives each node one share: either each lost share is rebuilt by itself from P others, or one node reads
    P of them, keeps one share and hands on the rest.
    """
    needed, columns = bft.primary_source(n), bft.secondary_source(n)
    copies = n - needed + 1
    share = 1 / needed
    pair = 1 / needed + 1 / columns
    symbols_share = symbols_of_pair(n) / (needed + columns)
    shipped = needed + lost - 1
    rows = (
        ("replication", copies, 1.0, lost * copies / n),
        ("Reed-Solomon, each share by itself", n * share, float(needed), lost * needed * share),
        ("Reed-Solomon, all at one node", n * share, shipped / lost, shipped * share),
        ("Red Stuff", n * pair, symbols_share, lost * pair * symbols_share),
    )
    return [
        Way(
            way=way,
            stored_per_byte=round(stored, 2),
            moved_per_byte=round(moved, 2),
            moved_per_blob_byte=round(of_blob, 3),
        )
        for way, stored, moved, of_blob in rows
    ]
