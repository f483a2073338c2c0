"""Frames: a length, one message, then the raw bytes that it announces; read at once and byte by byte."""

from __future__ import annotations

from array import array

import pytest

from tests import factories
from tests.wire.golden import from_hex
from tests.wire.strategies import KINDS
from wire import limits
from wire.codec import decode, encode
from wire.errors import WireError
from wire.framing import frame, message_bytes, pieces
from wire.ids import BlobId
from wire.messages import BlobRecord, Certified, GetSliver, NoRecord, SliverData, payload_bytes
from wire.records import Envelope
from wire.repair import RecoveredSymbols

CASES: dict[str, tuple[object, bytes, str]] = {
    "no fields": (NoRecord(), b"", "00000002 91 2b"),
    "another without fields": (Certified(), b"", "00000002 91 28"),
    "a question": (
        GetSliver(blob_id=BlobId(b"\xab" * 32), axis=1, index=2),
        b"",
        "00000026 94 2c c420ab*32 01 02",
    ),
    "with a payload": (SliverData(sliver_bytes=5), b"bytes", "00000003 92 2d 05 6279746573"),
}


class Reader:
    """The receiving end of a stream: takes any cuts of the bytes, gives messages with their payloads."""

    def __init__(self) -> None:
        self._buffer = b""
        self.messages: list[tuple[object, bytes]] = []

    def feed(self, data: bytes) -> None:
        """Take some bytes and read every frame that is complete."""
        self._buffer += data
        while (taken := self._read_one()) > 0:
            self._buffer = self._buffer[taken:]

    def _read_one(self) -> int:
        """Return the bytes of the first frame, 0 while it is not complete."""
        head = limits.LENGTH_PREFIX_BYTES
        if len(self._buffer) < head:
            return 0
        end = head + message_bytes(self._buffer[:head])
        if len(self._buffer) < end:
            return 0
        message: object = decode(self._buffer[head:end], *KINDS, bytes_max=limits.MESSAGE_BYTES_MAX)
        full = end + payload_bytes(message)
        if len(self._buffer) < full:
            return 0
        self.messages.append((message, self._buffer[end:full]))
        return full


@pytest.mark.parametrize(("message", "payload", "golden"), CASES.values(), ids=CASES)
def test_a_frame_has_its_golden_bytes(message: object, payload: bytes, golden: str) -> None:
    assert frame(message) + payload == from_hex(golden)


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_golden_frames_are_read_at_once_and_byte_by_byte(step: int) -> None:
    stream = b"".join(from_hex(golden) for _, _, golden in CASES.values())
    reader = Reader()
    for start in range(0, len(stream), step):
        reader.feed(stream[start : start + step])
    assert reader.messages == [(message, payload) for message, payload, _ in CASES.values()]


@pytest.mark.parametrize(("message", "payload", "golden"), CASES.values(), ids=CASES)
def test_a_frame_is_complete_with_its_last_byte_only(message: object, payload: bytes, golden: str) -> None:
    data = from_hex(golden)
    reader = Reader()
    reader.feed(data[:-1])
    assert reader.messages == []
    reader.feed(data[-1:] + b"\0\0")
    assert reader.messages == [(message, payload)]


@pytest.mark.parametrize("count", [1, 2, 255, 65_536, limits.MESSAGE_BYTES_MAX])
def test_a_prefix_announces_a_length_within_the_limit(count: int) -> None:
    assert message_bytes(count.to_bytes(4, "big")) == count


@pytest.mark.parametrize("count", [0, limits.MESSAGE_BYTES_MAX + 1, 2**31, 2**32 - 1])
def test_a_prefix_that_announces_nothing_or_too_much_is_refused(count: int) -> None:
    with pytest.raises(WireError, match=f"{count} were announced"):
        message_bytes(count.to_bytes(4, "big"))


@pytest.mark.parametrize("prefix", [b"", b"\0\0\1", b"\0\0\0\0\1"])
def test_a_prefix_of_another_length_is_refused(prefix: bytes) -> None:
    with pytest.raises(WireError, match=f"has 4 bytes, got {len(prefix)}"):
        message_bytes(prefix)


def test_a_message_above_the_limit_is_not_sent() -> None:
    full = Envelope(
        body=bytes(limits.RECORD_BYTES_MAX), signer=factories.public_key(), signature=factories.envelope().signature
    )
    message = BlobRecord(
        metadata=factories.metadata_record(), shards_held=(), certificates=(full, full), holders=(), retractions=()
    )
    count = len(encode(message))
    assert count > limits.MESSAGE_BYTES_MAX
    with pytest.raises(WireError, match=f"BlobRecord: {count} bytes, a message may have {limits.MESSAGE_BYTES_MAX}"):
        frame(message)


def test_only_two_messages_announce_raw_bytes() -> None:
    assert payload_bytes(SliverData(sliver_bytes=7)) == 7
    assert payload_bytes(factories.store_pair()) == 500
    assert payload_bytes(RecoveredSymbols(symbols=(), symbols_bytes=9)) == 9
    assert payload_bytes(NoRecord()) == 0
    assert payload_bytes(factories.blob_record()) == 0


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, []),
        (1, [1]),
        (limits.PIECE_BYTES, [limits.PIECE_BYTES]),
        (limits.PIECE_BYTES + 1, [limits.PIECE_BYTES, 1]),
        (2 * limits.PIECE_BYTES, [limits.PIECE_BYTES] * 2),
    ],
)
def test_a_payload_is_cut_into_pieces_that_join_to_it(count: int, expected: list[int]) -> None:
    payload = bytes(range(256)) * (count // 256 + 1)
    cut = list(pieces(payload[:count]))
    assert [len(piece) for piece in cut] == expected
    assert b"".join(cut) == payload[:count]


def test_a_payload_of_two_byte_symbols_is_cut_by_bytes() -> None:
    symbols = array("H", range(60_000)) * 3
    cut = list(pieces(memoryview(symbols)))
    assert [len(piece) for piece in cut] == [limits.PIECE_BYTES, 360_000 - limits.PIECE_BYTES]
    assert b"".join(cut) == symbols.tobytes()


def test_pieces_do_not_copy() -> None:
    payload = bytearray(10)
    (piece,) = pieces(memoryview(payload))
    payload[0] = 1
    assert piece[0] == 1
