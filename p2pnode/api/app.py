"""The API's paths, and what each asks of the node. `docs/HTTP_API.md` is their description."""

from __future__ import annotations

import dataclasses
from http import HTTPStatus
from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from crypto.peer_id import BadPeerIdError, peer_id_from_text
from p2pnode.api.edge import Edge
from p2pnode.api.owner_paths import KeepFor, Name, OwnerPaths, Renewers, parse_reference, put_options
from p2pnode.api.problems import Problem, one_line, problem_of
from p2pnode.api.streaming import DownloadResponse, upload
from p2pnode.api.transfers import TRANSFER_HEADER, Transfers
from p2pnode.errors import CallerError, ExitCode, P2PNodeError
from p2pnode.services.results import NodeFace
from wire import limits
from wire.ids import PeerId

Shards = Annotated[int | None, Query(ge=limits.SHARDS_MIN, le=limits.SHARDS_MAX)]
Size = Annotated[int, Query(ge=0, le=limits.FILE_BYTES_MAX)]


def make_app(node: NodeFace, *, token: str) -> FastAPI:
    """Return the API of a node, for whoever has the token. Its memory is bounded whatever is sent or asked."""
    app = FastAPI(title="p2pnode", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    paths = _Paths(node)
    for method, path, endpoint in (
        ("PUT", "/v1/blobs", paths.put_blob),
        ("GET", "/v1/blobs/{reference}", paths.get_blob),
        ("GET", "/v1/blobs/{reference}/status", paths.blob_status),
        ("GET", "/v1/blobs/{reference}/certificate", paths.certificate),
        ("POST", "/v1/blobs/{reference}/audit", paths.audit_holders),
        ("GET", "/v1/plan", paths.plan),
        ("GET", "/v1/peers", paths.peers),
        ("POST", "/v1/peers/{peer_id}/audit", paths.audit),
        ("GET", "/v1/evidence", paths.evidence),
        ("GET", "/v1/repairs", paths.repairs),
        ("GET", "/v1/evidence/{evidence_id}", paths.piece_of_evidence),
        ("GET", "/v1/node", paths.node_info),
        ("GET", "/v1/reach", paths.reach),
        ("POST", "/v1/reach", paths.check_reach),
        ("GET", "/v1/transfers/{transfer_id}", paths.transfer),
    ):
        app.add_api_route(path, endpoint, methods=[method], response_model=None)
    OwnerPaths(node).add_to(app)
    app.add_exception_handler(P2PNodeError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_bad_query)
    app.add_middleware(Edge, token=token)
    return app


class _Paths:
    """One method a path."""

    def __init__(self, node: NodeFace) -> None:
        self._node = node
        self._transfers = Transfers()

    async def put_blob(
        self,
        request: Request,
        shards: Shards = None,
        name: Name = "",
        for_s: KeepFor = None,
        renewer: Renewers = None,
    ) -> Response:
        """Store the body."""
        options = put_options(name, for_s, renewer)
        transfer = self._transfers.start(request.headers.get(TRANSFER_HEADER))
        length = request.headers.get("content-length")
        size = None if length is None else int(length)  # The server has checked that it is a number.
        try:
            result = await upload(self._node, request.receive, shards=shards, size=size, options=options)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a request's task; `problem_of` logs it.
            problem = problem_of(error)
            transfer.failed(problem)
            return _answer(problem)
        transfer.done(result)
        return JSONResponse(dataclasses.asdict(result))

    async def get_blob(self, request: Request, reference: str) -> Response:
        """Give the bytes back."""
        wanted = parse_reference(reference)
        transfer = self._transfers.start(request.headers.get(TRANSFER_HEADER))
        return DownloadResponse(self._node, wanted, transfer)

    async def blob_status(self, reference: str) -> Response:
        """Tell how a blob or file is doing."""
        return JSONResponse(dataclasses.asdict(await self._node.stat(parse_reference(reference))))

    async def plan(self, size: Size, shards: Shards = None) -> Response:
        """Tell what storing so many bytes would mean."""
        return JSONResponse(dataclasses.asdict(await self._node.plan(size, shards=shards)))

    async def peers(self) -> Response:
        """Tell which members are known."""
        peers = [dataclasses.asdict(peer) for peer in self._node.peers()]
        return JSONResponse({"peers": peers, "refused": self._node.refused()})

    async def audit(self, peer_id: str) -> Response:
        """Have a peer prove that it keeps what it has signed for."""
        try:
            wanted = PeerId(peer_id_from_text(peer_id))
        except BadPeerIdError as error:
            raise CallerError(f"{one_line(peer_id)} is not a peer id: {error}") from error
        return JSONResponse(dataclasses.asdict(await self._node.audit(wanted)))

    async def audit_holders(self, reference: str) -> Response:
        """Have all holders of something prove that they keep it."""
        audits = await self._node.audit_holders(parse_reference(reference))
        return JSONResponse({"audits": [dataclasses.asdict(each) for each in audits]})

    async def certificate(self, reference: str) -> Response:
        """Give the certificate of something."""
        return JSONResponse(dataclasses.asdict(await self._node.certificate(parse_reference(reference))))

    async def evidence(self) -> Response:
        """Tell which evidence is known."""
        return JSONResponse({"evidence": [dataclasses.asdict(each) for each in self._node.evidence.listed()]})

    async def repairs(self) -> Response:
        """Tell what is missing, and what the node does about it."""
        return JSONResponse(dataclasses.asdict(self._node.repairs()))

    async def piece_of_evidence(self, evidence_id: str) -> Response:
        """Give one piece of evidence."""
        return JSONResponse(dataclasses.asdict(await self._node.evidence.piece(one_line(evidence_id))))

    async def node_info(self) -> Response:
        """Tell about the node."""
        return JSONResponse(dataclasses.asdict(self._node.info()))

    async def reach(self) -> Response:
        """Tell whether others can dial the node, as far as the last check found."""
        return JSONResponse(dataclasses.asdict(self._node.reach()))

    async def check_reach(self) -> Response:
        """Check it now."""
        return JSONResponse(dataclasses.asdict(await self._node.check_reach()))

    async def transfer(self, transfer_id: str) -> Response:
        """Tell how a transfer ended."""
        return JSONResponse(self._transfers.outcome(transfer_id).as_json(transfer_id))


def _answer(problem: Problem) -> Response:
    return Response(problem.body(), status_code=problem.status, media_type="application/json")


async def _on_error(_request: Request, error: Exception) -> Response:
    return _answer(problem_of(error))


async def _on_http_error(_request: Request, error: Exception) -> Response:
    """An unknown path or a wrong method."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    message = one_line(str(error.detail))
    return _answer(Problem(status=status, reason=status.name, message=message, exit_code=int(ExitCode.ERROR)))


async def _on_bad_query(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    message = one_line(f"{first['loc'][-1]}: {first['msg']}")
    return _answer(problem_of(CallerError(message)))
