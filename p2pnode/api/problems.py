"""From an error to what a program outside may see: a status, a stable reason code, one line and an exit code.

Our own errors carry text that was written for the user, so it is passed on. Anything else is a bug: its text may
tell what is nobody's business, so outside gets a trace id only, and the log has the traceback under the same id.
"""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import dataclass
from http import HTTPStatus

from p2pnode.errors import (
    CallerError,
    DiskFullError,
    ExitCode,
    HoldersSilentError,
    IntegrityError,
    LeaseError,
    NotFoundError,
    P2PNodeError,
    PeerFaultError,
    PeerSilentError,
    PeerUnavailableError,
    QuotaError,
    ShortageError,
)

_log = logging.getLogger(__name__)

MESSAGE_CHARS_MAX = 1000
"""The longest message that is passed on: one line for a person. It also bounds what a kept transfer costs."""

_STATUSES: tuple[tuple[type[P2PNodeError], HTTPStatus], ...] = (
    # The first class that fits decides, so a subclass stands before its base.
    (CallerError, HTTPStatus.BAD_REQUEST),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (PeerSilentError, HTTPStatus.GATEWAY_TIMEOUT),
    (PeerUnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (PeerFaultError, HTTPStatus.BAD_GATEWAY),
    (HoldersSilentError, HTTPStatus.GATEWAY_TIMEOUT),
    (ShortageError, HTTPStatus.SERVICE_UNAVAILABLE),
    (IntegrityError, HTTPStatus.BAD_GATEWAY),
    (DiskFullError, HTTPStatus.INSUFFICIENT_STORAGE),
    (QuotaError, HTTPStatus.INSUFFICIENT_STORAGE),
    (LeaseError, HTTPStatus.CONFLICT),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A failure as the API tells it. `reason` is stable; `message` is one line for a person."""

    status: HTTPStatus
    reason: str
    message: str
    exit_code: int

    def as_error(self) -> dict[str, object]:
        """Return what stands under `"error"` in a JSON answer."""
        return {"reason": self.reason, "message": self.message, "exit_code": self.exit_code}

    def body(self) -> bytes:
        """Return the whole JSON answer."""
        return json.dumps({"error": self.as_error()}).encode()


def problem_of(error: Exception) -> Problem:
    """Return the problem that an error is to the outside; one that we did not foresee is logged with its traceback."""
    known = known_cause(error)
    if known is not None:
        return Problem(
            status=_status_of(known), reason=known.reason, message=one_line(str(known)), exit_code=int(known.exit_code)
        )
    trace_id = secrets.token_hex(4)
    _log.error("internal error, trace %s", trace_id, exc_info=error)
    return Problem(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        reason="INTERNAL",
        message=f"internal error, trace {trace_id}: the daemon's log has the details",
        exit_code=int(ExitCode.ERROR),
    )


def one_line(text: str) -> str:
    """Return the text as one printable line of bounded length: parts of it may come from a peer."""
    line = " ".join(text.split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= MESSAGE_CHARS_MAX else line[: MESSAGE_CHARS_MAX - 2] + ".."


def _status_of(error: P2PNodeError) -> HTTPStatus:
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def known_cause(error: BaseException) -> P2PNodeError | None:
    """Return the error of our own that this is, or None.

    A group (trio's nurseries make them) counts as its first error when all in it are our own.
    """
    if isinstance(error, BaseExceptionGroup):
        causes = [known_cause(each) for each in error.exceptions]
        return None if None in causes else causes[0]
    return error if isinstance(error, P2PNodeError) else None
