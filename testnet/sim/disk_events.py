"""What a simulated disk tells of each operation, so that a test can fail it or kill the node in the middle of it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass


class DiskOperation(enum.StrEnum):
    """What a disk does. A whole `write_new` is CREATE, a WRITE for each part, FSYNC."""

    CREATE = "create"
    WRITE = "write"
    FSYNC = "fsync"
    RENAME = "rename"
    SYNC_DIRECTORY = "sync-directory"
    MAKE_DIRECTORY = "make-directory"
    READ = "read"
    REMOVE = "remove"
    COMMIT = "commit"
    """A database makes a transaction durable."""


@dataclass(frozen=True, slots=True)
class DiskEvent:
    """One operation on one name, once before it takes effect and once after."""

    operation: DiskOperation
    name: str
    is_done: bool


DiskHook = Callable[[DiskEvent], None]
"""It may kill the node, or raise the `OSError` that the operation shall fail with."""


class NodeKilledError(BaseException):
    """This node has lost its power: none of its code runs any further.

    Not an `Exception`, because no handler of the code under test may survive it: in reality nothing would.
    """
