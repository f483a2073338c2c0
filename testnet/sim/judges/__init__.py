"""Judges outside the nodes: each holds one of ARCHITECTURE's invariants against what really is, for each node apart.

Redundancy hides the faults of single nodes, so a judge never asks whether the network as a whole still copes. It reads
what a node said on the wire and what is on its disk; it never trusts what a node says of itself.
"""

from __future__ import annotations

from testnet.sim.judges.bench import Bench
from testnet.sim.judges.judgement import Findings, Judge, JudgementError

__all__ = ["Bench", "Findings", "Judge", "JudgementError"]
