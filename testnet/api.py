"""Asking a node's HTTP API: one short request at a time, over loopback, without any proxy."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from p2pnode.errors import NoDaemonError, NotFoundError, P2PNodeError

if TYPE_CHECKING:
    from pathlib import Path

    from testnet.state import NodeState

TIMEOUT_S = 5.0
_TOKEN_FILE = "api-token"  # noqa: S105 - the name of the file, not a token


class AnswerError(P2PNodeError):
    """The API answered with an error; the message has its status and text."""

    reason = "API"


def ask(node: NodeState, path: str, *, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Return the JSON object at a path. Raises `NoDaemonError`, `NotFoundError` or `AnswerError`."""
    place = urlsplit(node.api)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {_token(node.home)}"})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        message = f"{node.name} does not answer at {node.api or 'its home'}: {error}"
        raise NoDaemonError(message) from error
    finally:
        connection.close()
    if response.status == http.client.NOT_FOUND:
        raise NotFoundError(f"{node.name} answers that there is no {path}")
    if response.status != http.client.OK:
        message = f"{node.name} answers {response.status} to {path}: {body[:200].decode('utf-8', 'replace')}"
        raise AnswerError(message)
    answer: dict[str, Any] = json.loads(body)
    return answer


def active_peers(node: NodeState) -> set[str]:
    """Return the peer ids of the members that the node knows and counts as active. Raises as `ask` does."""
    peers = ask(node, "/v1/peers")["peers"]
    return {peer["peer_id"] for peer in peers if peer["state"] == "active"}


def fresh_peers(node: NodeState) -> set[str]:
    """Return the peer ids of the members whose record the node calls fresh. Raises as `ask` does."""
    peers = ask(node, "/v1/peers", timeout_s=30)["peers"]
    return {peer["peer_id"] for peer in peers if peer["fresh"]}


def blob_status(node: NodeState, reference: str) -> dict[str, Any]:
    """Return what the node knows about a blob or file. Raises as `ask` does."""
    return ask(node, f"/v1/blobs/{quote(reference, safe='')}/status", timeout_s=30)


def _token(home: Path) -> str:
    return (home / _TOKEN_FILE).read_text("ascii").strip()
