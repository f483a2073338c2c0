"""The owner's side of the fake node: what it says is set by the test, what it was asked is noted."""

from __future__ import annotations

from dataclasses import replace

from p2pnode.membership.notice import maintenance
from p2pnode.services.events import Events
from p2pnode.services.owner_face import (
    AbsenceState,
    DrainState,
    Emptied,
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
from p2pnode.storage.quota import check_quota
from p2pnode.system import SystemClock
from wire.ids import BlobId
from wire.references import Reference

THING_ID = "q" * 42 + "c"


class FakeTrash:
    """A `TrashFace` with one pair."""

    def __init__(self) -> None:
        self.pairs = [Trashed(blob_id=THING_ID, shard=3, size=2000, trashed_at=1_800_000_000, removed_at=1_900_000_000)]
        self.restored: list[BlobId] = []

    async def listed(self) -> list[Trashed]:
        """List."""
        return self.pairs

    async def restore(self, blob_id: BlobId) -> int:
        """Keep for longer."""
        self.restored.append(blob_id)
        return len(self.pairs)

    async def empty(self) -> Emptied:
        """Remove."""
        done = Emptied(pairs=len(self.pairs), bytes_freed=sum(each.size for each in self.pairs))
        self.pairs = []
        return done


class FakeAbsence:
    """An `AbsenceFace` that remembers what it was told."""

    def __init__(self) -> None:
        self.now = AbsenceState(state="active", until=None)

    def state(self) -> AbsenceState:
        """Tell."""
        return self.now

    async def announce(self, for_s: int) -> AbsenceState:
        """Announce, from a moment that a test knows."""
        self.now = AbsenceState(state="maintenance", until=maintenance(for_s, wall=1_800_000_000).until)
        return self.now

    async def end(self) -> AbsenceState:
        """Take it back."""
        self.now = AbsenceState(state="active", until=None)
        return self.now


class FakeDrain:
    """A `DrainFace` that is a step further each time that it is looked at."""

    def __init__(self) -> None:
        self.now = DrainState(state="active", pairs=0, pairs_left=0, waits_for="")

    def state(self) -> DrainState:
        """Tell, and go on."""
        if self.now.pairs_left:
            left = self.now.pairs_left - 1
            self.now = replace(self.now, pairs_left=left, state="draining" if left else "drained", waits_for="")
        return self.now

    async def begin(self) -> DrainState:
        """Begin with two pairs."""
        self.now = DrainState(state="draining", pairs=2, pairs_left=2, waits_for="n7 has no room")
        return self.now

    async def stop(self) -> DrainState:
        """Stop."""
        self.now = DrainState(state="active", pairs=0, pairs_left=0, waits_for="")
        return self.now


class FakeQuota:
    """A `QuotaFace` with 250 bytes used."""

    def __init__(self) -> None:
        self.now = QuotaState(quota=1000, used=250, trash=50, room=750, disk_free=5000, disk_free_min=100)

    def state(self) -> QuotaState:
        """Tell."""
        return self.now

    def change(self, quota_bytes: int) -> QuotaState:
        """Change."""
        check_quota(quota_bytes)
        self.now = replace(self.now, quota=quota_bytes, room=max(0, quota_bytes - self.now.used))
        return self.now


class FakeOwner:
    """An `OwnerFace`; the attributes say what it answers."""

    def __init__(self) -> None:
        self.events = Events(SystemClock())
        self.trash = FakeTrash()
        self.quota = FakeQuota()
        self.absence = FakeAbsence()
        self.scrub_state = ScrubState(walks=False, pairs=0, lost=0, finished_at=None, next_at=1_801_000_000)
        self.drain = FakeDrain()
        self.owner_asked: list[tuple[object, ...]] = []
        self.renewed_healthy = 10
        self.things = [
            OwnedThing(
                id=THING_ID,
                name="letter.txt",
                size=1500,
                stored_at=1_800_000_000,
                lease_end=1_900_000_000,
                wanted_until=None,
                state="kept",
                n=10,
                healthy=9,
                renewers=(),
            )
        ]
        self.node_status = NodeStatus(
            peer_id="12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2",
            version="0.1.0",
            network="main",
            profile="home",
            uptime_s=90.0,
            reach="reachable",
            members=9,
            connected=8,
            space=Space(quota=1000, used=250, trash=50, disk_free=5000),
            stored=Stored(things=1, size=1500, ends_soon=0, ended=0, weak=0, untold_removals=0, is_listed=True),
            traffic=Traffic(up=10_000, down=20_000, limit_up=5_000_000, limit_down=None),
            warnings=(),
        )

    def warn(self, kind: str, message: str, advice: str) -> None:
        """Let the status have a warning."""
        self.node_status = NodeStatus(
            **{name: getattr(self.node_status, name) for name in NodeStatus.__slots__ if name != "warnings"},
            warnings=(Warning(kind=kind, message=message, advice=advice),),
        )

    def scrub(self) -> ScrubState:
        """Tell."""
        return self.scrub_state

    async def owned(self, *, with_removed: bool = False) -> list[OwnedThing]:
        """List."""
        self.owner_asked.append(("owned", with_removed))
        return self.things

    async def renew(self, reference: Reference, *, keep_for_s: int | None = None) -> Renewed:
        """Renew."""
        self.owner_asked.append(("renew", reference.text(), keep_for_s))
        return Renewed(id=reference.text(), n=10, healthy=self.renewed_healthy, lease_end=1_900_000_000)

    async def remove(self, reference: Reference) -> Removed:
        """Remove."""
        self.owner_asked.append(("remove", reference.text()))
        return Removed(id=reference.text(), holders=10, told=8)

    async def status(self) -> NodeStatus:
        """Tell."""
        return self.node_status
