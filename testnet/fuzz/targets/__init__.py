"""Every target, by its name: one file for each part of the node."""

from __future__ import annotations

from testnet.fuzz.target import Target
from testnet.fuzz.targets import (
    api,
    codes,
    gossip,
    handlers,
    homes,
    hosts,
    protocols,
    repair,
    storage,
    texts,
    wire_types,
    wires,
)


def all_targets() -> dict[str, Target]:
    """Return the targets in the order of their names."""
    found = [
        *api.targets(),
        *codes.targets(),
        *gossip.targets(),
        *handlers.targets(),
        *homes.targets(),
        *hosts.targets(),
        *protocols.targets(),
        *repair.targets(),
        *storage.targets(),
        *texts.targets(),
        *wire_types.targets(),
        *wires.targets(),
    ]
    by_name = {target.name: target for target in found}
    assert len(by_name) == len(found), "two targets have one name"
    return dict(sorted(by_name.items()))
