"""Claims about the error tree: every error has a stable reason of its own, and a documented exit code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from p2pnode.errors import ExitCode, P2PNodeError, PeerRefusedError
from wire.messages import RefusalCode

EXIT_CODES_PAGE = Path(__file__).parents[1] / "docs" / "EXIT_CODES.md"


def all_errors(kind: type[P2PNodeError] = P2PNodeError) -> Iterator[type[P2PNodeError]]:
    """Yield the errors of `p2pnode.errors`, parents first."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == "p2pnode.errors":
            yield from all_errors(child)


def test_no_two_errors_share_a_reason() -> None:
    reasons = [kind.reason for kind in all_errors()]
    assert len(set(reasons)) == len(reasons)


def test_every_exit_code_is_documented() -> None:
    page = EXIT_CODES_PAGE.read_text(encoding="utf-8")
    for code in ExitCode:
        assert f"| {code.value} |" in page
    assert {kind.exit_code for kind in all_errors()} <= set(ExitCode)


def test_a_refusal_keeps_its_code() -> None:
    error = PeerRefusedError("no room", RefusalCode.NO_SPACE)
    assert (str(error), error.code) == ("no room", RefusalCode.NO_SPACE)
