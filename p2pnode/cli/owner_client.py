"""What the commands about an owner's things ask of the daemon."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import quote

from p2pnode.cli.daemon_client import BadAnswerError, DaemonClient, blob_path, made
from p2pnode.services.owner_face import (
    AbsenceState,
    DrainState,
    Emptied,
    Event,
    NodeStatus,
    OwnedThing,
    QuotaState,
    Removed,
    Renewed,
    ScrubState,
    Space,
    Stored,
    Traffic,
    Trashed,
    Warning,  # noqa: A004 - the word that the user sees
)

EVENT_BYTES_MAX = 16 * 1024
"""The longest line of an event: its message is one line for a person."""


def owned(daemon: DaemonClient, *, with_removed: bool) -> list[OwnedThing]:
    """Tell what the daemon's owner stored."""
    answer = daemon.ask("/v1/owned?removed=true" if with_removed else "/v1/owned").get("things")
    if not isinstance(answer, list):
        message = "unexpected answer from the daemon (no list of things)"
        raise BadAnswerError(message)
    return [made(OwnedThing, each) for each in answer]


def renew(daemon: DaemonClient, reference: str, *, keep_for_s: int | None) -> Renewed:
    """Renew a lease, or add one."""
    query = "" if keep_for_s is None else f"?for_s={keep_for_s}"
    return made(Renewed, daemon.ask(f"{blob_path(reference)}/renew{query}", method="POST"))


def remove(daemon: DaemonClient, reference: str) -> Removed:
    """End our lease on a thing."""
    return made(Removed, daemon.ask(blob_path(reference), method="DELETE"))


def status(daemon: DaemonClient) -> NodeStatus:
    """Tell how the node is doing."""
    answer = daemon.ask("/v1/status")
    warnings = answer.get("warnings")
    if not isinstance(warnings, list):
        message = "unexpected answer from the daemon (no list of warnings)"
        raise BadAnswerError(message)
    parts = {
        "space": made(Space, answer.get("space")),
        "stored": made(Stored, answer.get("stored")),
        "traffic": made(Traffic, answer.get("traffic")),
        "warnings": [made(Warning, each) for each in warnings],
    }
    return made(NodeStatus, answer | parts)


def trash(daemon: DaemonClient) -> list[Trashed]:
    """Tell what is in the trash of the daemon's disk."""
    answer = daemon.ask("/v1/trash").get("trash")
    if not isinstance(answer, list):
        message = "unexpected answer from the daemon (no list of the trash)"
        raise BadAnswerError(message)
    return [made(Trashed, each) for each in answer]


def restore_trashed(daemon: DaemonClient, blob_id: str) -> int:
    """Let a blob's time in the trash begin anew; return how many pairs it has there."""
    pairs = daemon.ask(f"/v1/trash/{quote(blob_id, safe='')}/restore", method="POST").get("pairs")
    if not isinstance(pairs, int):
        message = "unexpected answer from the daemon (no number of pairs)"
        raise BadAnswerError(message)
    return pairs


def empty_trash(daemon: DaemonClient) -> Emptied:
    """Remove what is in the trash."""
    return made(Emptied, daemon.ask("/v1/trash", method="DELETE"))


def absence(daemon: DaemonClient) -> AbsenceState:
    """Tell what the others are told of the node's comings and goings."""
    return made(AbsenceState, daemon.ask("/v1/maintenance"))


def announce_absence(daemon: DaemonClient, for_s: int) -> AbsenceState:
    """Tell the others that the node may be away for so many seconds from now."""
    return made(AbsenceState, daemon.ask(f"/v1/maintenance?for_s={for_s}", method="POST"))


def end_absence(daemon: DaemonClient) -> AbsenceState:
    """Take it back."""
    return made(AbsenceState, daemon.ask("/v1/maintenance", method="DELETE"))


def drain_state(daemon: DaemonClient) -> DrainState:
    """Tell how far the node is with leaving for good."""
    return made(DrainState, daemon.ask("/v1/drain"))


def begin_drain(daemon: DaemonClient) -> DrainState:
    """Begin to hand over all that the node keeps."""
    return made(DrainState, daemon.ask("/v1/drain", method="POST"))


def stop_drain(daemon: DaemonClient) -> DrainState:
    """Stop it: the node stays."""
    return made(DrainState, daemon.ask("/v1/drain", method="DELETE"))


def scrub(daemon: DaemonClient) -> ScrubState:
    """Tell when all that the node keeps was last looked at."""
    return made(ScrubState, daemon.ask("/v1/scrub"))


def quota(daemon: DaemonClient) -> QuotaState:
    """Tell what the node offers, and how much room there is."""
    return made(QuotaState, daemon.ask("/v1/quota"))


def change_quota(daemon: DaemonClient, quota_bytes: int) -> QuotaState:
    """Change the quota of the running node."""
    return made(QuotaState, daemon.ask(f"/v1/quota?bytes={quota_bytes}", method="PUT"))


def events_after(daemon: DaemonClient, number: int) -> list[Event]:
    """Tell the events that are kept with higher numbers."""
    answer = daemon.ask(f"/v1/events?after={number}").get("events")
    if not isinstance(answer, list):
        message = "unexpected answer from the daemon (no list of events)"
        raise BadAnswerError(message)
    return [made(Event, each) for each in answer]


def follow_events(daemon: DaemonClient, *, after: int) -> Iterator[Event]:
    """Yield events as they come, until the daemon stops."""
    with daemon.stream(f"/v1/events?after={after}&follow=true") as response:
        while True:
            try:
                line = response.readline(EVENT_BYTES_MAX)
                if not line:
                    return
                yield made(Event, json.loads(line))
            except (OSError, http.client.HTTPException):
                return
            except ValueError as error:
                message = f"unexpected answer from the daemon ({error})"
                raise BadAnswerError(message) from error
