"""What a node sends while nothing happens: the gate for a thousand members, by what one record costs among a few.

`make bench-scale` measures whole networks. What one gossiped record costs a node does not depend on how many others
there are, so a small network tells what a large one sends.
"""

from benchmarks.scale_network import measure
from testnet.sim.admission import SIMULATED

NODES = 32
MEMBERS = 1000
SENT_PER_S_MAX = 4_000.0
COPIES_MAX = 4.0
PINGS_AMONG_MANY = 350.0
"""Bytes a second that pings add where each node has about ninety connections."""


def test_an_idle_node_among_a_thousand_members_would_send_less_than_4_kb_a_second(seed: int) -> None:
    period_s = SIMULATED.member_record_every_s
    figures = measure(NODES, window_s=period_s, seed=seed)
    records_per_s = NODES / period_s
    bytes_per_record = sum(each.sent for each in figures.kinds) / records_per_s
    assert bytes_per_record > 400, "each node sends each record about once at least"
    assert bytes_per_record * MEMBERS / period_s + PINGS_AMONG_MANY < SENT_PER_S_MAX
    assert 1 < figures.copies < COPIES_MAX
    assert sum(each.received for each in figures.kinds) / records_per_s == bytes_per_record
    assert figures.behind == 0
    assert figures.converged_s < 2 * period_s
