"""Errors as the outside sees them."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus

import pytest

from p2pnode import errors
from p2pnode.api.problems import MESSAGE_CHARS_MAX, one_line, problem_of
from p2pnode.errors import P2PNodeError

STATUSES = {
    errors.CallerError: 400,
    errors.NotFoundError: 404,
    errors.PeerFaultError: 502,
    errors.PeerUnavailableError: 503,
    errors.PeerSilentError: 504,
    errors.TooFewHoldersError: 503,
    errors.TooFewPairsError: 503,
    errors.HoldersSilentError: 504,
    errors.IntegrityError: 502,
    errors.LocalStorageError: 500,
    errors.CorruptSliverError: 500,
    errors.DiskFullError: 507,
    errors.QuotaError: 507,
    errors.LeaseError: 409,
    errors.HomeError: 500,
}


@pytest.mark.parametrize(("kind", "status"), STATUSES.items(), ids=lambda value: getattr(value, "__name__", value))
def test_own_errors_keep_their_reason_message_and_exit_code(kind: type[P2PNodeError], status: int) -> None:
    problem = problem_of(kind("the facts"))
    assert problem.status == status
    assert json.loads(problem.body()) == {
        "error": {"reason": kind.reason, "message": "the facts", "exit_code": int(kind.exit_code)}
    }


def test_unknown_errors_show_a_trace_id_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        problem = problem_of(KeyError("/secret/path"))
    assert problem.status is HTTPStatus.INTERNAL_SERVER_ERROR
    assert (problem.reason, problem.exit_code) == ("INTERNAL", 1)
    assert b"secret" not in problem.body()
    trace_id = problem.message.split("trace ")[1].split(":")[0]
    assert trace_id in caplog.text
    assert "KeyError: '/secret/path'" in caplog.text


def test_a_group_of_own_errors_is_its_first() -> None:
    group = ExceptionGroup("", [ExceptionGroup("", [errors.QuotaError("full")]), errors.LeaseError("over")])
    assert problem_of(group).reason == "QUOTA"


def test_a_group_with_a_foreign_error_is_a_bug() -> None:
    assert problem_of(ExceptionGroup("", [errors.QuotaError("full"), ValueError("bug")])).reason == "INTERNAL"


def test_messages_are_one_bounded_printable_line() -> None:
    assert one_line("a\n  b\x1b[31m\tc") == "a b?[31m c"
    assert one_line("x" * MESSAGE_CHARS_MAX) == "x" * MESSAGE_CHARS_MAX
    assert len(one_line("x" * (MESSAGE_CHARS_MAX + 1))) == MESSAGE_CHARS_MAX
