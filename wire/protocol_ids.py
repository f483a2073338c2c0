"""Names on the wire: protocol ids and gossip topics carry the network's name, our version and the parameters' hash.

Two networks, two versions or two sets of shared parameters therefore never understand each other by accident.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from crypto.hashing import tagged_hash
from wire import limits
from wire.codec import encode, wire_type
from wire.errors import WireError
from wire.shapes import Text, UInt

PROTOCOL_VERSION = 1

_NETWORK_NAME = re.compile(r"[A-Za-z0-9.-]+")


@wire_type(0x02)
@dataclass(frozen=True, slots=True, kw_only=True)
class SharedParameters:
    """What all members of a network must agree on (ARCHITECTURE section 3); its hash is in every protocol id."""

    record_format: Annotated[int, UInt(limits.UINT64_MAX)]
    lease_format: Annotated[int, UInt(limits.UINT64_MAX)]
    epoch_seconds: Annotated[int, UInt(limits.UINT64_MAX)]
    lease_seconds_max: Annotated[int, UInt(limits.UINT64_MAX)]
    admission_work: Annotated[int, UInt(limits.UINT64_MAX)]
    shard_count_rule: Annotated[str, Text(limits.TEXT_CHARS_MAX)]


@dataclass(frozen=True, slots=True)
class NetworkNames:
    """Every name that one network uses on the wire."""

    network: str
    parameters: SharedParameters

    def __post_init__(self) -> None:
        """Refuse a network's name that could run into the parts beside it. Raises `WireError`."""
        if not _NETWORK_NAME.fullmatch(self.network) or len(self.network) > limits.NETWORK_NAME_CHARS_MAX:
            longest = limits.NETWORK_NAME_CHARS_MAX
            message = f"a network's name has 1 to {longest} letters (a-z), digits, '-' or '.', got {self.network!r}"
            raise WireError(message)

    @property
    def parameter_hash(self) -> str:
        """The first 8 bytes of the hash of the shared parameters, in hex."""
        return tagged_hash(b"p2pnode/parameters", encode(self.parameters))[:8].hex()

    def protocol(self, name: str) -> str:
        """Return the protocol id of one of our protocols, for example `store`."""
        return f"/p2pnode/{self.network}/{PROTOCOL_VERSION}/{self.parameter_hash}/{name}"

    def topic(self, kind: str, *, bucket: str = "") -> str:
        """Return the gossip topic for one kind of record, for example `members`.

        A `bucket` cuts a kind into several topics by the first digits of an id, in hex. None is used yet: while every
        node takes part in everything, sixteen meshes would cost sixteen times the upkeep and save no byte. A network
        too large for the full view would give each node the buckets near its own id.
        """
        name = f"p2pnode/{self.network}/{PROTOCOL_VERSION}/{self.parameter_hash}/{kind}"
        return f"{name}/{bucket}" if bucket else name
