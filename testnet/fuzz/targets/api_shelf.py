"""What the API is fuzzed above: a `NodeFace` that keeps a few blobs in memory and answers all else with examples."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, cast, get_origin, get_type_hints

import trio

from crypto.hashing import blake2b_256
from p2pnode.errors import NotFoundError
from p2pnode.services.owner_face import Event, OwnerFace, PutOptions, QuotaFace, TrashFace
from p2pnode.services.results import Download, NodeFace
from p2pnode.storage.quota import check_quota
from wire.ids import BlobId
from wire.references import Reference, ReferenceKind

FIRST_BLOB = Reference(ReferenceKind.BLOB, BlobId(blake2b_256(b"data"))).text()
"""What is there from the start: its bytes are `data`."""

_BLOBS_MAX = 64


class Shelf:
    """The node."""

    def __init__(self) -> None:
        """Keep the first blob."""
        self._blobs: OrderedDict[str, bytes] = OrderedDict({FIRST_BLOB: b"data"})
        self.events = _OneEvent()
        self.trash = _Trash()
        self.quota = _Quota()

    async def put(
        self, source: AsyncIterator[bytes], *, shards: int | None, size: int | None, options: PutOptions
    ) -> object:
        """Keep what comes, and forget the oldest."""
        del options
        data = b"".join([chunk async for chunk in source])
        text = Reference(ReferenceKind.BLOB, BlobId(blake2b_256(data))).text()
        self._blobs[text] = data
        while len(self._blobs) > _BLOBS_MAX:
            self._blobs.popitem(last=False)
        return replace(_example_of(NodeFace, "put"), id=text, n=shards or 10, size=size or len(data))

    @asynccontextmanager
    async def get(self, reference: Reference) -> AsyncIterator[Download]:
        """Give it back."""
        data = self._find(reference)

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        yield Download(reference, len(data), chunks())

    async def stat(self, reference: Reference) -> object:
        """Tell of it."""
        return replace(_example_of(NodeFace, "stat"), id=reference.text(), size=len(self._find(reference)))

    def _find(self, reference: Reference) -> bytes:
        data = self._blobs.get(reference.text())
        if data is None:
            raise NotFoundError("nobody knows it")
        return data

    async def plan(self, size: int, *, shards: int | None) -> object:
        """Tell of what is not there yet."""
        return replace(_example_of(NodeFace, "plan"), size=size, n=shards or 10)

    def peers(self) -> tuple[object, ...]:
        """Know nobody."""
        return ()

    def refused(self) -> dict[str, int]:
        """Have refused something."""
        return {"bad record": 1}

    def info(self) -> object:
        """Tell of the node."""
        return _example_of(NodeFace, "info")

    def reach(self) -> object:
        """Tell of its reach."""
        return _example_of(NodeFace, "reach")

    async def check_reach(self) -> object:
        """Tell of its reach."""
        return _example_of(NodeFace, "check_reach")

    async def owned(self, *, with_removed: bool) -> list[object]:
        """Own nothing."""
        del with_removed
        return []

    async def renew(self, reference: Reference, *, keep_for_s: int | None) -> object:
        """Renew what is there."""
        del keep_for_s
        self._find(reference)
        return replace(_example_of(OwnerFace, "renew"), id=reference.text())

    async def remove(self, reference: Reference) -> object:
        """Remove what is there."""
        self._find(reference)
        return replace(_example_of(OwnerFace, "remove"), id=reference.text())

    async def status(self) -> object:
        """Tell of the node."""
        return _example_of(OwnerFace, "status")


class _Trash:
    """A trash with nothing in it."""

    async def listed(self) -> list[object]:
        return []

    async def restore(self, blob_id: BlobId) -> int:
        raise NotFoundError(f"no pair of {blob_id.text()} is in the trash")

    async def empty(self) -> object:
        return _example_of(TrashFace, "empty")


class _Quota:
    """A quota that may be changed to any that makes sense."""

    def state(self) -> object:
        return _example_of(QuotaFace, "state")

    def change(self, quota_bytes: int) -> object:
        check_quota(quota_bytes)
        return replace(_example_of(QuotaFace, "change"), quota=quota_bytes)


class _OneEvent:
    """A log with one event, and none to come."""

    def after(self, number: int) -> list[Event]:
        return [event for event in [cast("Event", _example(Event))] if event.id > number]

    async def wait_after(self, number: int) -> list[Event]:
        found = self.after(number)
        if not found:
            await trio.sleep_forever()
        return found


@cache
def _example_of(face: type, method: str) -> Any:  # noqa: ANN401 - what the method of a node returns
    """Return some value of the type that a method of a node returns; its fields say nothing."""
    return _example(get_type_hints(getattr(face, method))["return"])


def _example(kind: Any) -> Any:  # noqa: ANN401 - any type of a field, and a value of it
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return cast("Any", kind)(**{field.name: _example(hints[field.name]) for field in fields(kind)})
    plain_ones: dict[Any, object] = {int: 1, float: 1.0, bool: True, str: "x"}
    return plain_ones.get(kind, () if get_origin(kind) is tuple else None)
