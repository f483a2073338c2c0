"""The API's paths about what this node's owner stored: list, renew, remove; and the node's events."""

from __future__ import annotations

import dataclasses
import json
from http import HTTPStatus
from typing import Annotated

import trio
from fastapi import FastAPI, Query
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from p2pnode.errors import CallerError
from p2pnode.services.owner_face import EventLog, PutOptions
from p2pnode.services.results import NodeFace
from wire import limits
from wire.errors import WireError
from wire.ids import PublicKey
from wire.references import Reference, ReferenceKind

KEEP_SECONDS_MAX = 100 * 366 * 24 * 3600
"""A hundred years: whoever wants more wants for ever."""

Name = Annotated[str, Query(max_length=limits.TEXT_CHARS_MAX)]
KeepFor = Annotated[int | None, Query(ge=1, le=KEEP_SECONDS_MAX)]
Renewers = Annotated[list[str] | None, Query(max_length=limits.RENEWERS_MAX)]


class BadReferenceError(CallerError):
    """The path names no reference."""

    reason = "BAD_REFERENCE"


class OwnerPaths:
    """One method a path."""

    def __init__(self, node: NodeFace) -> None:
        """Ask this node."""
        self._node = node

    def add_to(self, app: FastAPI) -> None:
        """Add the paths."""
        for method, path, endpoint in (
            ("GET", "/v1/owned", self.owned),
            ("POST", "/v1/blobs/{reference}/renew", self.renew),
            ("DELETE", "/v1/blobs/{reference}", self.remove),
            ("GET", "/v1/trash", self.trash),
            ("POST", "/v1/trash/{blob_id}/restore", self.restore),
            ("DELETE", "/v1/trash", self.empty_trash),
            ("GET", "/v1/quota", self.quota),
            ("PUT", "/v1/quota", self.change_quota),
            ("GET", "/v1/maintenance", self.absence),
            ("POST", "/v1/maintenance", self.announce_absence),
            ("DELETE", "/v1/maintenance", self.end_absence),
            ("GET", "/v1/drain", self.drain),
            ("POST", "/v1/drain", self.begin_drain),
            ("DELETE", "/v1/drain", self.stop_drain),
            ("GET", "/v1/scrub", self.scrub),
            ("GET", "/v1/status", self.status),
            ("GET", "/v1/events", self.events),
        ):
            app.add_api_route(path, endpoint, methods=[method], response_model=None)

    async def owned(self, *, removed: bool = False) -> Response:
        """List what this owner stored."""
        things = await self._node.owned(with_removed=removed)
        return JSONResponse({"things": [dataclasses.asdict(each) for each in things]})

    async def renew(self, reference: str, for_s: KeepFor = None) -> Response:
        """Renew the lease on a thing."""
        return JSONResponse(dataclasses.asdict(await self._node.renew(parse_reference(reference), keep_for_s=for_s)))

    async def remove(self, reference: str) -> Response:
        """End our lease on a thing."""
        return JSONResponse(dataclasses.asdict(await self._node.remove(parse_reference(reference))))

    async def trash(self) -> Response:
        """List what is in the node's own trash."""
        return JSONResponse({"trash": [dataclasses.asdict(each) for each in await self._node.trash.listed()]})

    async def restore(self, blob_id: str) -> Response:
        """Let a blob's time in the trash begin anew."""
        reference = parse_reference(blob_id)
        if reference.kind is not ReferenceKind.BLOB:
            message = "the trash knows blobs only: give the id of one"
            raise BadReferenceError(message)
        return JSONResponse({"pairs": await self._node.trash.restore(reference.blob_id)})

    async def empty_trash(self) -> Response:
        """Remove what is in the trash."""
        return JSONResponse(dataclasses.asdict(await self._node.trash.empty()))

    async def quota(self) -> Response:
        """Tell what the node offers, and how much room there is."""
        return JSONResponse(dataclasses.asdict(self._node.quota.state()))

    async def change_quota(self, quota_bytes: Annotated[int, Query(alias="bytes", ge=1)]) -> Response:
        """Change the quota of the running node; whoever asks keeps it in the settings."""
        return JSONResponse(dataclasses.asdict(self._node.quota.change(quota_bytes)))

    async def absence(self) -> Response:
        """Tell what the others are told of the node's comings and goings."""
        return JSONResponse(dataclasses.asdict(self._node.absence.state()))

    async def announce_absence(self, for_s: Annotated[int, Query(ge=1)]) -> Response:
        """Tell the others that the node may be away for so long from now."""
        return JSONResponse(dataclasses.asdict(await self._node.absence.announce(for_s)))

    async def end_absence(self) -> Response:
        """Take it back."""
        return JSONResponse(dataclasses.asdict(await self._node.absence.end()))

    async def drain(self) -> Response:
        """Tell how far the node is with leaving for good."""
        return JSONResponse(dataclasses.asdict(self._node.drain.state()))

    async def begin_drain(self) -> Response:
        """Begin to hand over all that the node keeps."""
        return JSONResponse(dataclasses.asdict(await self._node.drain.begin()))

    async def stop_drain(self) -> Response:
        """Stop it: the node stays."""
        return JSONResponse(dataclasses.asdict(await self._node.drain.stop()))

    async def scrub(self) -> Response:
        """Tell when all that the node keeps was last looked at."""
        return JSONResponse(dataclasses.asdict(self._node.scrub()))

    async def status(self) -> Response:
        """Tell how the node is doing."""
        return JSONResponse(dataclasses.asdict(await self._node.status()))

    async def events(self, after: Annotated[int, Query(ge=0)] = 0, *, follow: bool = False) -> Response:
        """Tell the events after a number: those that are kept, or with `follow` also those to come, a line each."""
        if follow:
            return _EventsResponse(self._node.events, after)
        return JSONResponse({"events": [dataclasses.asdict(each) for each in self._node.events.after(after)]})


class _EventsResponse(Response):
    """Events as lines of JSON, for as long as the client listens."""

    def __init__(self, events: EventLog, after: int) -> None:
        super().__init__(media_type="application/jsonl")
        self._events = events
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        headers = [(b"content-type", b"application/jsonl")]
        await send({"type": "http.response.start", "status": int(HTTPStatus.OK), "headers": headers})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_all, send)
            while (await receive())["type"] != "http.disconnect":
                pass  # An empty body, which says nothing.
            nursery.cancel_scope.cancel()

    async def _send_all(self, send: Send) -> None:
        number = self._after
        while True:
            found = await self._events.wait_after(number)
            number = found[-1].id
            lines = "".join(json.dumps(dataclasses.asdict(each)) + "\n" for each in found)
            await send({"type": "http.response.body", "body": lines.encode(), "more_body": True})


def parse_reference(text: str) -> Reference:
    """Read a reference in a path. Raises `BadReferenceError`."""
    try:
        return Reference.parse(text)
    except WireError as error:
        raise BadReferenceError(str(error)) from error


def put_options(name: str, for_s: int | None, renewers: list[str] | None) -> PutOptions:
    """Return what a put says of a thing besides its bytes. Raises `CallerError`."""
    if not name.isprintable():
        message = "a name is one line of printable characters"
        raise CallerError(message)
    try:
        keys = tuple(PublicKey(bytes.fromhex(each)) for each in renewers or ())
    except ValueError as error:  # WireError too: another length.
        message = f"renewer: expected keys of 32 bytes in hex ({error})"
        raise CallerError(message) from error
    return PutOptions(name=name, keep_for_s=for_s, renewers=keys)
