"""The node's state on one screen: what a volunteer wants to know, and what to do where something is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from p2pnode import bft
from p2pnode.protocols.evidence import EVIDENCE_SECONDS
from p2pnode.protocols.renewal import OwnedState
from p2pnode.reputation.reproaches import Reproach
from p2pnode.services.owner_face import (
    CatalogueState,
    NodeStatus,
    OwnedThing,
    Space,
    Stored,
    Traffic,
    Warning,  # noqa: A004 - the word that the user sees
)
from p2pnode.services.results import Convicted, NodeInfo, ReachReport
from p2pnode.wording import counted, human_date
from wire import limits
from wire.evidence import Failure

WARNED_THINGS_MAX = 20
"""Things that are warned of by name; of more only the number is told."""

SPACE_SHORT = 0.05
"""A quota of which less than this part is left is worth a word."""


def stored_of(things: Sequence[OwnedThing], *, untold_removals: int, catalogue: CatalogueState) -> Stored:
    """Return the figures of what is not removed."""
    states = [each.state for each in things]
    return Stored(
        things=len(things),
        size=sum(each.size for each in things),
        ends_soon=states.count(OwnedState.ENDS_SOON),
        ended=states.count(OwnedState.ENDED),
        weak=sum(_is_weak(each) for each in things),
        untold_removals=untold_removals,
        is_listed=catalogue.is_published,
    )


def status_of(
    info: NodeInfo,
    reach: ReachReport,
    space: Space,
    traffic: Traffic,
    things: Sequence[OwnedThing],
    stored: Stored,
    *,
    catalogue: CatalogueState,
    away: Sequence[str] = (),
) -> NodeStatus:
    """Return the state with its warnings; `away` says which disks are."""
    return NodeStatus(
        peer_id=info.peer_id,
        version=info.version,
        network=info.network,
        profile=info.profile,
        uptime_s=info.uptime_s,
        reach=info.reach,
        members=info.members,
        connected=info.connected,
        space=space,
        stored=stored,
        traffic=traffic,
        warnings=(
            *_of_network(info, reach),
            *map(_of_away, away),
            *_of_space(space),
            *_of_things(things),
            *_of_list(stored, catalogue),
        ),
    )


def why_of(against_us: Sequence[Convicted], reproaches: Sequence[Reproach]) -> tuple[Warning, ...]:
    """Say why others think ill of this node, and what to do: what convicts it, then which audits it failed lately."""
    found = [_of_conviction(each) for each in against_us]
    for failure, (what, advice) in _FAILED.items():
        told = [each for each in reproaches if each.failure is failure]
        if told:
            last = told[-1]
            message = (
                f"this node {what}, as {counted(len(told), 'peer')} told it lately: the last one on"
                f" {human_date(last.at)}, about shard {last.shard} of {last.blob_id.text()}"
            )
            found.append(Warning(kind="audit-failed", message=message, advice=advice))
    return tuple(found)


_FAILED = {
    Failure.WRONG: (
        "answered an audit falsely",
        "Check the memory and the disk of this machine, and that this is the newest version of the program.",
    ),
    Failure.ABSENT: (
        "has lost a pair that it promised to keep",
        "Others replace it. Check the disk, and whether something else removes files in the data directory.",
    ),
    Failure.TIMEOUT: (
        "was silent in an audit though it was connected",
        "Check whether the disk or the processor is overloaded, and that the line is not used up by something else.",
    ),
}
"""What others say, and what to do about it."""


def _of_conviction(found: Convicted) -> Warning:
    message = (
        f"on {human_date(found.signed_about)} this node signed {_SIGNED.get(found.kind, found.kind)} about"
        f" {found.about}: whoever sees it counts all that is kept here as lost, until {human_date(_ends(found))}"
    )
    advice = (
        "'p2pnode evidence' shows it. Check memory and disk, and that nobody else has this node's key; a new node"
        " ('p2pnode init') can take part at once. What you stored with other nodes is not touched."
    )
    return Warning(kind="convicted", message=message, advice=advice)


_SIGNED = {"false proof": "a false proof"}
"""Kinds of evidence that need an article."""


def _ends(found: Convicted) -> int:
    return found.heard_at + EVIDENCE_SECONDS


def _of_network(info: NodeInfo, reach: ReachReport) -> list[Warning]:
    found = []
    if info.connected == 0:
        message = "no other node is connected"
        advice = "Check the line; 'p2pnode peers' lists who is known, 'p2pnode join CODE' begins with an invitation."
        found.append(Warning(kind="alone", message=message, advice=advice))
    elif info.members + 1 < limits.SHARDS_MIN:
        message = f"{info.members + 1} members are too few to store anything: {limits.SHARDS_MIN} are needed"
        found.append(Warning(kind="too-few-members", message=message, advice="Invite others: 'p2pnode invite'."))
    if info.reach == "not reachable":
        advice = reach.advice or "'p2pnode check' says what to do."
        found.append(Warning(kind="not-reachable", message="others cannot dial this node", advice=advice))
    return found


def _of_away(directory: str) -> Warning:
    message = f"the data directory {directory} is not here: what it keeps for others is not served, and not lost yet"
    advice = f"Mount its disk again; if it is gone for good, stop the node and run 'p2pnode data forget {directory}'."
    return Warning(kind="data-away", message=message, advice=advice)


def _of_space(space: Space) -> list[Warning]:
    found = []
    left = space.quota - space.used
    if space.disk_free < min(left, int(space.quota * SPACE_SHORT)):
        message = "the disk is nearly full, though the quota is not"
        advice = "Free some space on the disk, or lower the quota: 'p2pnode quota SIZE'."
        found.append(Warning(kind="disk-full", message=message, advice=advice))
    elif left < 0:
        message = "more is used than the quota offers: nothing leased is dropped, and nothing new is taken"
        advice = "Wait until leases have run out, or raise it with 'p2pnode quota SIZE'."
        found.append(Warning(kind="quota-exceeded", message=message, advice=advice))
    elif left < space.quota * SPACE_SHORT:
        message = "the quota is nearly used up: this node takes little more"
        advice = "Raise it with 'p2pnode quota SIZE', or leave it as it is: what is stored stays."
        found.append(Warning(kind="quota-full", message=message, advice=advice))
    return found


def _of_things(things: Sequence[OwnedThing]) -> list[Warning]:
    found = []
    for each in things:
        name, renew = each.name or each.id, f"'p2pnode renew {each.id}' keeps it."
        if each.state == OwnedState.ENDED:
            found.append(Warning(kind="lease-ended", message=f"the lease on {name} has ended", advice=renew))
        elif each.state == OwnedState.ENDS_SOON:
            found.append(Warning(kind="lease-ends-soon", message=f"the lease on {name} ends soon", advice=renew))
        if _is_weak(each):
            message = f"{name} is healthy on {each.healthy} of {each.n} shards"
            advice = f"Other nodes rebuild what is lost; 'p2pnode stat {each.id}' shows more."
            found.append(Warning(kind="weak", message=message, advice=advice))
    more = len(found) - WARNED_THINGS_MAX
    if more > 0:
        message, advice = f"{more} further warnings about what you stored", "'p2pnode ls' shows all of it."
        return [*found[:WARNED_THINGS_MAX], Warning(kind="more", message=message, advice=advice)]
    return found


def _of_list(stored: Stored, catalogue: CatalogueState) -> list[Warning]:
    if catalogue.is_replaced:
        message = "another owner key has replaced the one of this node: nothing that you stored is renewed here"
        advice = (
            "Export a backup where the new key is, stop this node, and run 'p2pnode id rotate-owner --from BACKUP'"
            " here; if you did not rotate it, somebody else has the old key."
        )
        return [Warning(kind="owner-key-replaced", message=message, advice=advice)]
    if stored.is_listed:
        return []
    message = f"the list of what you stored is not in the network yet: {catalogue.detail}"
    return [Warning(kind="list-not-published", message=message, advice="Leave the node running; it tries again.")]


def _is_weak(thing: OwnedThing) -> bool:
    return thing.healthy is not None and thing.healthy < bft.quorum(thing.n)
