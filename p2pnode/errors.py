"""The error tree, split by who must act (STYLE rule 16), and the exit code that each error ends a command with."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """The exit codes of the command line; documented in `docs/EXIT_CODES.md`."""

    OK = 0
    ERROR = 1
    USAGE = 2
    PARTIAL = 3
    """Certified, but on fewer than n shards (or some of many failed)."""
    NO_RECORD = 4
    """Nobody who answered knows the id."""
    TOO_FEW_HOLDERS = 5
    """Fewer than n - f holders for a write."""
    TOO_FEW_PAIRS = 6
    """Fewer than P pairs are left: every other known holder refused or is lost."""
    INTEGRITY = 7
    """Bytes that differ from what was written, or an inconsistent blob."""
    QUOTA_OR_LEASE = 8
    NO_DAEMON = 9
    SILENT = 10
    """Holders were silent until the deadline."""
    NOT_REACHABLE = 11
    """Peers tried to dial this node, and could not."""
    INTERRUPTED = 130


class P2PNodeError(Exception):
    """The root: everything that we raise on purpose. `reason` is the stable code that the API and scripts see."""

    reason = "ERROR"
    exit_code = ExitCode.ERROR


class CallerError(P2PNodeError):
    """The caller asked for something impossible: fix the call."""

    reason = "BAD_REQUEST"
    exit_code = ExitCode.USAGE


class NotFoundError(P2PNodeError):
    """Nobody who answered knows the id."""

    reason = "NO_RECORD"
    exit_code = ExitCode.NO_RECORD


class PeerFaultError(P2PNodeError):
    """A peer broke the protocol: report it, do not ask it again for this."""

    reason = "PEER_FAULT"
    exit_code = ExitCode.INTEGRITY


class PeerUnavailableError(P2PNodeError):
    """A peer cannot be reached or does not answer: nobody's fault, try another."""

    reason = "PEER_UNAVAILABLE"


class PeerSilentError(PeerUnavailableError):
    """A peer is connected, or may be, but did not answer before the deadline."""

    reason = "PEER_SILENT"


class PeerRefusedError(PeerUnavailableError):
    """A peer answered that it will not; `code` is a `wire.messages.RefusalCode`."""

    reason = "PEER_REFUSED"

    def __init__(self, message: str, code: int) -> None:
        """Keep the refusal code beside the message."""
        super().__init__(message)
        self.code = code


class ShortageError(P2PNodeError):
    """Too few receipts or slivers: tell the user."""

    reason = "SHORTAGE"


class TooFewHoldersError(ShortageError):
    """A write found fewer than n - f holders; nothing outlives its provisional lease."""

    reason = "TOO_FEW_HOLDERS"
    exit_code = ExitCode.TOO_FEW_HOLDERS


class TooFewPairsError(ShortageError):
    """A read found fewer than P pairs: every other known holder refused or is lost."""

    reason = "TOO_FEW_PAIRS"
    exit_code = ExitCode.TOO_FEW_PAIRS


class HoldersSilentError(ShortageError):
    """A read found fewer than P pairs, and some holders were silent until the deadline."""

    reason = "HOLDERS_SILENT"
    exit_code = ExitCode.SILENT


class IntegrityError(P2PNodeError):
    """What was read is not what was written, and this was noticed: nothing wrong was given out."""

    reason = "INTEGRITY"
    exit_code = ExitCode.INTEGRITY


class InconsistentDataError(IntegrityError):
    """What was stored is no encoding of anything, as its own hashes prove: its writer made it so."""

    reason = "INCONSISTENT_BLOB"


class LocalStorageError(P2PNodeError):
    """Our own disk or database failed: stop serving what it holds."""

    reason = "LOCAL_STORAGE"


class CorruptSliverError(LocalStorageError):
    """A sliver on our disk is damaged; it is never served."""

    reason = "CORRUPT_SLIVER"
    exit_code = ExitCode.INTEGRITY


class DiskFullError(LocalStorageError):
    """The disk has no room; nothing was acknowledged."""

    reason = "DISK_FULL"
    exit_code = ExitCode.QUOTA_OR_LEASE


class QuotaError(P2PNodeError):
    """Our own quota has no room for this."""

    reason = "QUOTA"
    exit_code = ExitCode.QUOTA_OR_LEASE


class NewcomersQuotaError(QuotaError):
    """Owners that are not vetted here have the part of our quota that they may have together."""

    reason = "NEWCOMERS_QUOTA"


class LeaseError(P2PNodeError):
    """A lease is too long, over, or does not cover what was asked."""

    reason = "LEASE"
    exit_code = ExitCode.QUOTA_OR_LEASE


class HomeError(P2PNodeError):
    """The node's home cannot be used as it is: missing, in use, a wrong key, another version."""

    reason = "HOME"


class HomeInUseError(HomeError):
    """Another daemon runs on this home."""

    reason = "HOME_IN_USE"


class PortInUseError(P2PNodeError):
    """The address to listen on is taken."""

    reason = "PORT_IN_USE"


class NoDaemonError(P2PNodeError):
    """No daemon runs on this home."""

    reason = "NO_DAEMON"
    exit_code = ExitCode.NO_DAEMON
