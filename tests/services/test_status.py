"""Claims about the status: whatever is wrong is told with what to do, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pnode.reputation.reproaches import Reproach
from p2pnode.services.owner_face import (
    CatalogueState,
    NodeStatus,
    OwnedThing,
    Space,
    Traffic,
)
from p2pnode.services.results import Convicted, NodeInfo
from p2pnode.services.status import WARNED_THINGS_MAX, status_of, stored_of, why_of
from tests import factories
from tests.api.fake_node import FakeNode
from tests.api.fake_owner import FakeOwner
from wire.evidence import Failure
from wire.ids import ShardIndex

SPACE = Space(quota=1000, used=250, trash=50, disk_free=5000)
TRAFFIC = Traffic(up=0, down=0, limit_up=None, limit_down=None)
LISTED = CatalogueState(things=1, is_published=True, published_at=1, detail="")
THING = FakeOwner().things[0]
INFO = replace(FakeNode().info(), connected=8, members=9, reach="reachable")


def status(
    *, info: NodeInfo = INFO, space: Space = SPACE, things: tuple[OwnedThing, ...] = (THING,),
    catalogue: CatalogueState = LISTED, away: tuple[str, ...] = (),
) -> NodeStatus:  # fmt: skip
    stored = stored_of(things, untold_removals=0, catalogue=catalogue)
    return status_of(info, FakeNode().reach(), space, TRAFFIC, things, stored, catalogue=catalogue, away=away)


def kinds(found: NodeStatus) -> list[str]:
    assert all(each.message and each.advice for each in found.warnings)
    return [each.kind for each in found.warnings]


def test_a_healthy_node_warns_of_nothing() -> None:
    assert kinds(status()) == []


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        (replace(INFO, connected=0), "alone"),
        (replace(INFO, members=2), "too-few-members"),
        (replace(INFO, reach="not reachable"), "not-reachable"),
    ],
)
def test_what_is_wrong_with_the_network_is_told(info: NodeInfo, kind: str) -> None:
    assert kinds(status(info=info)) == [kind]


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (replace(SPACE, used=949), []),
        (replace(SPACE, used=951), ["quota-full"]),
        (replace(SPACE, disk_free=10), ["disk-full"]),
        (replace(SPACE, used=1000, disk_free=10), ["quota-full"]),
        (replace(SPACE, used=1001), ["quota-exceeded"]),
    ],
)
def test_what_is_wrong_with_the_space_is_told(space: Space, expected: list[str]) -> None:
    assert kinds(status(space=space)) == expected


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (replace(THING, state="ends soon"), ["lease-ends-soon"]),
        (replace(THING, state="ended", healthy=None), ["lease-ended"]),
        (replace(THING, healthy=7), []),
        (replace(THING, healthy=6), ["weak"]),
        (replace(THING, healthy=None), []),
    ],
)
def test_what_is_wrong_with_a_thing_is_told(thing: OwnedThing, expected: list[str]) -> None:
    assert kinds(status(things=(thing,))) == expected


def test_of_very_many_things_in_trouble_some_are_named_and_the_others_counted() -> None:
    found = status(things=(replace(THING, state="ended"),) * (WARNED_THINGS_MAX + 7))
    assert kinds(found) == ["lease-ended"] * WARNED_THINGS_MAX + ["more"]
    assert "7 further" in found.warnings[-1].message
    assert found.stored.ended == WARNED_THINGS_MAX + 7


def test_a_list_that_the_network_does_not_have_is_told_with_the_reason() -> None:
    found = status(catalogue=replace(LISTED, is_published=False, detail="too few holders"))
    assert kinds(found) == ["list-not-published"]
    assert "too few holders" in found.warnings[0].message


def test_a_data_directory_that_is_away_is_warned_of_with_what_to_do() -> None:
    (warning,) = status(away=("/mnt/b",)).warnings
    assert warning.kind == "data-away"
    assert "/mnt/b" in warning.message
    assert "p2pnode data forget /mnt/b" in warning.advice


def reproach(by: int, failure: Failure, at: int = 1_800_000_000) -> Reproach:
    return Reproach(by=factories.peer_id(by), failure=failure, blob_id=factories.blob_id(), shard=ShardIndex(3), at=at)


def test_who_is_thought_ill_of_sees_when_about_what_and_what_to_do() -> None:
    assert why_of([], []) == ()
    convicted = Convicted(
        id="", accused="", kind="false proof", about="shard 3 of BLOB", reason="", blob_id="BLOB", shard=3,
        signed_about=1_800_000_000, heard_at=1_800_000_000, is_us=True,
    )  # fmt: skip
    told = [reproach(1, Failure.TIMEOUT), reproach(2, Failure.ABSENT), reproach(3, Failure.TIMEOUT, 1_800_000_060)]
    found = why_of([convicted], told)
    assert [each.kind for each in found] == ["convicted", "audit-failed", "audit-failed"]
    assert all(each.advice for each in found)
    assert "on 2027-01-15 08:00 UTC this node signed a false proof about shard 3 of BLOB" in found[0].message
    assert "until 2027-02-15 09:00 UTC" in found[0].message
    assert "as 1 peer told it" in found[1].message
    assert "as 2 peers told it lately: the last one on 2027-01-15 08:01 UTC, about shard 3" in found[2].message
