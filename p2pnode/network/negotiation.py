"""multistream-select 1.0: how two sides agree on the protocol of a connection or stream.

Each line is a varint length, the text and a newline. Both sides start with the name of the method itself; the one that
opened proposes protocols until the other repeats one. Source: libp2p specification, "Connection establishment".

py-libp2p has its own, but it reads lines of any length, and lets a name that is not UTF-8 escape as an exception.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from p2pnode.network import limits
from p2pnode.network.byte_channel import ByteChannel

METHOD = "/multistream/1.0.0"
_REFUSAL = "na"
_VARINT_BITS = 7
_VARINT_MORE = 1 << _VARINT_BITS
_VARINT_BYTES_MAX = 2
"""Two bytes count to 16,383: above the longest line."""


class NegotiationError(Exception):
    """The two sides have no protocol in common, or the other side does not speak multistream-select."""


def encode_line(text: str) -> bytes:
    """Return the bytes of one line."""
    body = text.encode() + b"\n"
    assert len(body) <= limits.NEGOTIATION_LINE_BYTES_MAX, f"a line of {len(body)} bytes: {text[:80]}"
    length = bytes([len(body)]) if len(body) < _VARINT_MORE else _two_byte_varint(len(body))
    return length + body


def _two_byte_varint(number: int) -> bytes:
    return bytes([number % _VARINT_MORE | _VARINT_MORE, number // _VARINT_MORE])


async def read_line(channel: ByteChannel) -> str:
    """Return the text of one line. Raises `NegotiationError` for anything else, and `ConnectionLostError`."""
    count = 0
    for position in range(_VARINT_BYTES_MAX):
        byte = (await channel.read_exactly(1))[0]
        count |= (byte % _VARINT_MORE) << (_VARINT_BITS * position)
        if byte < _VARINT_MORE:
            break
    else:
        message = "a line whose length is longer than two bytes"
        raise NegotiationError(message)
    if not 1 <= count <= limits.NEGOTIATION_LINE_BYTES_MAX:
        message = f"a line of {count} bytes, 1 to {limits.NEGOTIATION_LINE_BYTES_MAX} are allowed"
        raise NegotiationError(message)
    body = await channel.read_exactly(count)
    if not body.endswith(b"\n"):
        message = "a line without its end"
        raise NegotiationError(message)
    try:
        return body[:-1].decode()
    except UnicodeDecodeError as error:
        message = "a line that is not UTF-8"
        raise NegotiationError(message) from error


async def propose(channel: ByteChannel, protocols: Sequence[str]) -> str:
    """Propose protocols in order and return the first that the other side takes.

    The first proposal goes out with the greeting, which saves a round trip. Raises `NegotiationError` when none is
    taken, and `ConnectionLostError`. The caller sets the deadline.
    """
    await channel.write(encode_line(METHOD) + encode_line(protocols[0]))
    await _expect_greeting(channel)
    for position, protocol in enumerate(protocols):
        if position:
            await channel.write(encode_line(protocol))
        answer = await read_line(channel)
        if answer == protocol:
            return protocol
        if answer != _REFUSAL:
            message = f"asked for {protocol}, the answer was {answer[:80]!r}"
            raise NegotiationError(message)
    message = f"the other side speaks none of {', '.join(protocols)}"
    raise NegotiationError(message)


async def answer_proposals(channel: ByteChannel, protocols: Collection[str]) -> str:
    """Answer proposals until one is among `protocols`, and return it.

    Raises `NegotiationError` after NEGOTIATION_ROUNDS_MAX lines, `ConnectionLostError`. The caller sets the deadline.
    """
    await channel.write(encode_line(METHOD))
    await _expect_greeting(channel)
    for _ in range(limits.NEGOTIATION_ROUNDS_MAX):
        proposal = await read_line(channel)
        if proposal in protocols:
            await channel.write(encode_line(proposal))
            return proposal
        await channel.write(encode_line(_REFUSAL))
    message = f"{limits.NEGOTIATION_ROUNDS_MAX} proposals, none of which is known here"
    raise NegotiationError(message)


async def _expect_greeting(channel: ByteChannel) -> None:
    greeting = await read_line(channel)
    if greeting != METHOD:
        message = f"expected {METHOD}, got {greeting[:80]!r}"
        raise NegotiationError(message)
