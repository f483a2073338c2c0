"""Speaking to this home's daemon over its HTTP API. Memory stays flat: bytes pass through in pieces, both ways.

A transfer that breaks in the middle has no status line to tell why. So each has a random name, and after a break the
daemon is asked under that name for the reason.

The standard library's client is used because a command's start counts: it loads in a tenth of the time of others, and
it lets an upload look up between two pieces, to see whether the daemon has answered already.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

from p2pnode.errors import CallerError, ExitCode, NoDaemonError, P2PNodeError
from p2pnode.services.owner_face import NO_OPTIONS, PutOptions
from p2pnode.services.results import (
    AddressReach,
    Audited,
    BlobStatus,
    Convicted,
    KnownCertificate,
    KnownEvidence,
    NodeInfo,
    PeerStatus,
    PutResult,
    ReachReport,
    RepairReport,
    RepairTask,
    StoragePlan,
)
from p2pnode.storage.home import open_home, read_daemon_info
from wire.errors import WireError
from wire.references import Reference

TRANSFER_HEADER = "P2PNode-Transfer"

CONNECT_TIMEOUT_S = 5.0
"""The daemon is on this machine: it takes a connection at once, or does not run."""

WAIT_TIMEOUT_S = 900.0
"""The longest silence that is waited for: longer than any deadline of the daemon, so that it decides first."""

PIECE_BYTES = 512 * 1024
"""How much of a download is in memory at a time."""

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""The longest JSON answer: ten thousand members with eight addresses each stay well below."""

T = TypeVar("T")
_Json = dict[str, object]


class DaemonError(P2PNodeError):
    """What the daemon answered: its reason and exit code are passed on."""

    def __init__(self, message: str, *, reason: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.reason = reason
        self.exit_code = exit_code


class BadAnswerError(P2PNodeError):
    """The daemon answered something that is none of its answers: it is another program, or another version."""

    reason = "BAD_ANSWER"


class BrokenTransferError(P2PNodeError):
    """A transfer ended in the middle, and the daemon does not know of a reason."""

    reason = "BROKEN_TRANSFER"


@dataclass(frozen=True, slots=True)
class OpenDownload:
    """A read under way: `chunks` ends after exactly `size` bytes, or raises."""

    size: int
    chunks: Iterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersReport:
    """The members that a daemon knows, and how often it refused what peers said, by the reason."""

    peers: list[PeerStatus]
    refused: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonClient:
    """The daemon of one home. Every method raises `P2PNodeError`s only."""

    home: Path
    host: str
    port: int
    token: str

    def put(
        self,
        chunks: Iterator[bytes],
        *,
        size: int | None,
        shards: int | None,
        options: PutOptions = NO_OPTIONS,
    ) -> PutResult:
        """Store what the chunks hold; with a `size` they must have exactly that many bytes."""
        name = secrets.token_urlsafe(16)
        headers = {TRANSFER_HEADER: name, "Content-Type": "application/octet-stream"}
        headers |= {"Transfer-Encoding": "chunked"} if size is None else {"Content-Length": str(size)}
        path = "/v1/blobs" + _put_query(shards, options)
        with self._connection() as connection:
            try:
                self._begin(connection, "PUT", path, headers)
            except OSError as error:
                raise _gone() from error
            _send_until_answered(connection, chunks, chunked=size is None)
            try:
                answer = _json_of(connection.getresponse())
            except (OSError, http.client.HTTPException) as error:
                return made(PutResult, self._outcome(name, error).get("result"))
        return made(PutResult, answer)

    @contextlib.contextmanager
    def get(self, reference: str) -> Iterator[OpenDownload]:
        """Open a read."""
        name = secrets.token_urlsafe(16)
        with self._connection() as connection:
            response = self._request(connection, blob_path(reference), {TRANSFER_HEADER: name})
            if response.status != HTTPStatus.OK:
                self._answer(response)
            if response.length is None:
                raise _bad_answer("no Content-Length")
            size = response.length
            yield OpenDownload(size, self._chunks(response, name, size))

    def stat(self, reference: str) -> BlobStatus:
        """Tell how a blob or file is doing."""
        return made(BlobStatus, self.ask(blob_path(reference) + "/status"))

    def plan(self, size: int, *, shards: int | None) -> StoragePlan:
        """Tell what storing so many bytes would mean."""
        query = f"?size={size}" if shards is None else f"?size={size}&shards={shards}"
        return made(StoragePlan, self.ask("/v1/plan" + query))

    def peers(self) -> PeersReport:
        """Tell which members the daemon knows, and what it refused."""
        answer = self.ask("/v1/peers")
        peers, refused = answer.get("peers"), answer.get("refused")
        if not isinstance(peers, list):
            raise _bad_answer("no list of peers")
        if not isinstance(refused, dict) or not all(type(count) is int for count in refused.values()):
            raise _bad_answer("no counts of what was refused")
        return PeersReport(peers=[made(PeerStatus, each) for each in peers], refused=refused)

    def repairs(self) -> RepairReport:
        """Tell what is missing as the daemon sees it, and what it does about it."""
        answer = self.ask("/v1/repairs")
        tasks = answer.get("tasks")
        if not isinstance(tasks, list):
            raise _bad_answer("no list of tasks")
        return made(RepairReport, {**answer, "tasks": [made(RepairTask, each) for each in tasks]})

    def audit(self, peer_id: str) -> Audited:
        """Have the daemon audit a peer now, and wait for what comes of it."""
        return made(Audited, self.ask(f"/v1/peers/{quote(peer_id, safe='')}/audit", method="POST"))

    def audit_holders(self, reference: str) -> list[Audited]:
        """Have the daemon audit all other holders of something, and wait for what comes of it."""
        audits = self.ask(blob_path(reference) + "/audit", method="POST").get("audits")
        if not isinstance(audits, list):
            raise _bad_answer("no list of audits")
        return [made(Audited, each) for each in audits]

    def certificate(self, reference: str) -> KnownCertificate:
        """Return the certificate of something, unchecked."""
        return made(KnownCertificate, self.ask(blob_path(reference) + "/certificate"))

    def evidence(self) -> list[Convicted]:
        """Tell which evidence the daemon keeps."""
        answer = self.ask("/v1/evidence").get("evidence")
        if not isinstance(answer, list):
            raise _bad_answer("no list of evidence")
        return [made(Convicted, each) for each in answer]

    def piece_of_evidence(self, evidence_id: str) -> KnownEvidence:
        """Return one piece of evidence, unchecked."""
        return made(KnownEvidence, self.ask(f"/v1/evidence/{quote(evidence_id, safe='')}"))

    def info(self) -> NodeInfo:
        """Tell about the node."""
        return made(NodeInfo, self.ask("/v1/node"))

    def check_reach(self) -> ReachReport:
        """Have the daemon check whether others can dial it, and wait for what comes of it."""
        answer = self.ask("/v1/reach", method="POST")
        rows = answer.get("addresses")
        if not isinstance(rows, list):
            raise _bad_answer("no list of addresses")
        return made(ReachReport, answer | {"addresses": [made(AddressReach, row) for row in rows]})

    @contextlib.contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=CONNECT_TIMEOUT_S)
        try:
            connection.connect()
        except OSError as error:
            raise _no_daemon(self.home) from error
        with contextlib.closing(connection):
            connection.sock.settimeout(WAIT_TIMEOUT_S)
            yield connection

    def _begin(self, connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str]) -> None:
        connection.putrequest(method, path, skip_accept_encoding=True)
        connection.putheader("Authorization", f"Bearer {self.token}")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()

    def _request(
        self, connection: http.client.HTTPConnection, path: str, headers: dict[str, str], *, method: str = "GET"
    ) -> http.client.HTTPResponse:
        try:
            self._begin(connection, method, path, headers)
            return connection.getresponse()
        except TimeoutError as error:
            message = f"the daemon did not answer within {WAIT_TIMEOUT_S:.0f} s"
            raise BadAnswerError(message) from error
        except (OSError, http.client.HTTPException) as error:
            raise _gone() from error

    def ask(self, path: str, *, method: str = "GET") -> _Json:
        """Return the answer's object of one path. Raises the problem that it tells instead."""
        headers = {} if method == "GET" else {"Content-Length": "0"}
        with self._connection() as connection:
            return self._answer(self._request(connection, path, headers, method=method))

    @contextlib.contextmanager
    def stream(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """Open an answer that goes on for as long as the daemon runs. Raises the problem that it tells instead."""
        with self._connection() as connection:
            response = self._request(connection, path, {})
            if response.status != HTTPStatus.OK:
                self._answer(response)
            connection.sock.settimeout(None)
            yield response

    def _answer(self, response: http.client.HTTPResponse) -> _Json:
        try:
            return _json_of(response)
        except (OSError, http.client.HTTPException) as error:
            raise _gone() from error

    def _chunks(self, response: http.client.HTTPResponse, name: str, size: int) -> Iterator[bytes]:
        received = 0
        while received < size:
            try:
                chunk = response.read1(PIECE_BYTES)
            except (OSError, http.client.HTTPException) as error:
                self._outcome(name, error)
                raise _broken(f"{received} of {size} bytes came: {error}") from error
            if not chunk:
                self._outcome(name, None)
                raise _broken(f"{received} of {size} bytes came")
            received += len(chunk)
            yield chunk

    def _outcome(self, name: str, error: Exception | None) -> _Json:
        """Return how a broken transfer ended by the daemon's word. Raises its reason when it did not succeed."""
        try:
            answer = self.ask(f"/v1/transfers/{name}")
        except NoDaemonError as gone:
            raise _gone() from gone
        if isinstance(answer.get("error"), dict):
            raise _error_of(answer) from error
        if answer.get("state") != "done":
            raise _broken(f"the daemon says it is {answer.get('state')}") from error
        return answer


def daemon_of(home: Path) -> DaemonClient:
    """Return the client of the daemon that runs on this home. Raises `NoDaemonError` or `HomeError`."""
    home = home.expanduser()
    info = read_daemon_info(home)
    if info is None:
        raise _no_daemon(home)
    place = urlsplit(info.api)
    if place.hostname is None or place.port is None:
        raise _no_daemon(home)
    return DaemonClient(home=home, host=place.hostname, port=place.port, token=open_home(home).api_token)


def _send_until_answered(connection: http.client.HTTPConnection, chunks: Iterator[bytes], *, chunked: bool) -> None:
    """Send the body; stop when the daemon answers before its end, or breaks off: then its answer or reason counts."""
    for chunk in chunks:
        if not _send(connection, b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk):
            return
    if chunked:
        _send(connection, b"0\r\n\r\n")


def _send(connection: http.client.HTTPConnection, data: bytes) -> bool:
    """Send, unless an answer is there; tell whether there is any use in going on."""
    answered, _, _ = select.select([connection.sock], [], [], 0)
    if answered:
        return False
    try:
        connection.send(data)
    except OSError:
        return False
    return True


def _put_query(shards: int | None, options: PutOptions) -> str:
    pairs: list[tuple[str, str | int]] = [("renewer", key.hex()) for key in options.renewers]
    if shards is not None:
        pairs.append(("shards", shards))
    if options.name:
        pairs.append(("name", options.name))
    if options.keep_for_s is not None:
        pairs.append(("for_s", options.keep_for_s))
    return "?" + urlencode(pairs) if pairs else ""


def blob_path(reference: str) -> str:
    """Return the path of what a reference names. Raises `CallerError` when it is none."""
    try:
        text = Reference.parse(reference).text()
    except WireError as error:
        raise CallerError(str(error)) from error
    return "/v1/blobs/" + quote(text, safe=":")


def _json_of(response: http.client.HTTPResponse) -> _Json:
    """Return the answer's object. Raises the problem that it tells instead, or what the connection raises."""
    data = response.read(ANSWER_BYTES_MAX)
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise _bad_answer(f"status {response.status} without JSON") from error
    if not isinstance(answer, dict):
        raise _bad_answer("JSON that is no object")
    if response.status != HTTPStatus.OK:
        raise _error_of(answer)
    return answer


def _error_of(answer: _Json) -> P2PNodeError:
    match answer.get("error"):
        case {"reason": str(reason), "message": str(message), "exit_code": int(number)}:
            exit_code = ExitCode(number) if number in {each.value for each in ExitCode} else ExitCode.ERROR
            return DaemonError(message, reason=reason, exit_code=exit_code)
        case _:
            return _bad_answer("an error without a reason")


def made(kind: Callable[..., T], values: object) -> T:
    """Return a result of the API as the value that it was. Raises `BadAnswerError`."""
    if not isinstance(values, dict):
        raise _bad_answer("JSON that is no object")
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    except TypeError as error:
        raise _bad_answer(str(error)) from error


def _no_daemon(home: Path) -> NoDaemonError:
    if not home.is_dir():
        message = f"there is no node in {home}: make it with 'p2pnode init', then start it with: p2pnode run"
        return NoDaemonError(message)
    return NoDaemonError(f"no daemon runs on {home}; start it with: p2pnode run")


def _gone() -> NoDaemonError:
    return NoDaemonError("the daemon stopped in the middle: see its log, then start it again with: p2pnode run")


def _broken(what: str) -> BrokenTransferError:
    return BrokenTransferError(f"the transfer broke in the middle ({what}): try again")


def _bad_answer(what: str) -> BadAnswerError:
    return BadAnswerError(f"unexpected answer from the daemon ({what}): do both have the same version?")
