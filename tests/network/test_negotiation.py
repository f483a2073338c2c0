"""multistream-select between two of its own kind, and against garbage."""

from __future__ import annotations

import random

import pytest
import trio

from p2pnode.network import limits
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.negotiation import (
    METHOD,
    NegotiationError,
    answer_proposals,
    encode_line,
    propose,
    read_line,
)


class Bytes:
    """A channel that reads from given bytes, and keeps what is written."""

    def __init__(self, incoming: bytes) -> None:
        """Set what the other side sends."""
        self.incoming = incoming
        self.outgoing = b""

    async def read_some(self, bytes_max: int) -> bytes:
        """Return some of it."""
        if not self.incoming:
            raise ConnectionLostError("the end")
        taken, self.incoming = self.incoming[:bytes_max], self.incoming[bytes_max:]
        return taken

    async def read_exactly(self, count: int) -> bytes:
        """Return exactly so much."""
        if len(self.incoming) < count:
            raise ConnectionLostError("the end")
        return await self.read_some(count)

    async def write(self, data: bytes) -> None:
        """Keep it."""
        await trio.lowlevel.checkpoint()
        self.outgoing += data


def test_lines_have_the_bytes_of_the_specification() -> None:
    assert encode_line(METHOD) == b"\x13/multistream/1.0.0\n"
    assert encode_line("x" * 199) == b"\xc8\x01" + b"x" * 199 + b"\n"


async def test_the_first_common_proposal_is_agreed_on() -> None:
    client = Bytes(encode_line(METHOD) + encode_line("na") + encode_line("/b"))
    assert await propose(client, ["/a", "/b", "/c"]) == "/b"
    server = Bytes(client.outgoing)
    assert await answer_proposals(server, {"/b", "/c"}) == "/b"
    assert server.outgoing == encode_line(METHOD) + encode_line("na") + encode_line("/b")
    assert server.incoming == b""  # What follows belongs to the protocol that was agreed on.


async def test_nothing_in_common_raises() -> None:
    with pytest.raises(NegotiationError, match="speaks none of /a"):
        await propose(Bytes(encode_line(METHOD) + encode_line("na")), ["/a"])


async def test_an_answer_that_was_not_asked_for_raises() -> None:
    with pytest.raises(NegotiationError, match="the answer was '/b'"):
        await propose(Bytes(encode_line(METHOD) + encode_line("/b")), ["/a"])


async def test_proposals_without_end_are_not_answered_without_end() -> None:
    channel = Bytes(encode_line(METHOD) + encode_line("/x") * (limits.NEGOTIATION_ROUNDS_MAX + 1))
    with pytest.raises(NegotiationError, match="proposals"):
        await answer_proposals(channel, {"/a"})
    assert channel.incoming == encode_line("/x")


@pytest.mark.parametrize(
    "line",
    [b"\x00", b"\x02ab", b"\x03\xff\xfe\n", b"\xff\xff\x01", b"\x81\x08" + bytes(1_025), encode_line("/other/1.0.0")],
    ids=["empty", "no newline", "not UTF-8", "long length", "too long", "another method"],
)
async def test_a_line_that_is_none_raises(line: bytes) -> None:
    with pytest.raises(NegotiationError):
        await answer_proposals(Bytes(line), {"/a"})


async def test_the_longest_line_is_read() -> None:
    text = "x" * (limits.NEGOTIATION_LINE_BYTES_MAX - 1)
    assert await read_line(Bytes(encode_line(text))) == text


async def test_any_bytes_are_negotiated_or_raise_the_two_errors_only(rng: random.Random) -> None:
    for _ in range(500):
        try:
            await answer_proposals(Bytes(encode_line(METHOD) + rng.randbytes(rng.randrange(60))), {"/a"})
        except (NegotiationError, ConnectionLostError):
            continue
