"""A simulated connection between two hosts. Each end learns for itself that it is gone."""

from __future__ import annotations

from collections.abc import Callable

from p2pnode.membership.circuit_addresses import is_circuit
from p2pnode.seams import Stream
from testnet.sim.fabric import Fabric, Host
from testnet.sim.streams import Pipe, SimStream
from testnet.sim.traffic import OTHER

CONTROL_BYTES = 32
"""The size of what opens, resets or ends something."""


class ConnectionEnd:
    """What one host knows of a connection."""

    def __init__(
        self,
        connection: Connection,
        *,
        host: Host,
        peer: Host,
        address: str,
        source: str = "",
        on_lost: Callable[[ConnectionEnd], None],
    ) -> None:
        """Stand for `host`; `address` is empty at the side that was dialled, `source` at the side that dialled."""
        self._connection = connection
        self.host, self.peer, self.address = host, peer, address
        self.source = source
        self._on_lost = on_lost
        self._streams: dict[int, SimStream] = {}
        self.is_open = True

    @property
    def route(self) -> str:
        """The address that was dialled, by whichever side."""
        return self._connection.dialled.address

    @property
    def is_relayed(self) -> bool:
        """Whether the connection leads through a relay."""
        return is_circuit(self.route)

    @property
    def open_streams(self) -> int:
        """How many streams of this connection our side has not let go of."""
        return len(self._streams)

    def add(self, stream: SimStream) -> None:
        """Tell this stream about the connection's fate."""
        self._streams[stream.number] = stream

    def forget(self, stream: SimStream) -> None:
        """Stop telling it."""
        self._streams.pop(stream.number, None)

    def break_now(self) -> None:
        """Let this side notice that the connection is gone; no error when it has."""
        if not self.is_open:
            return
        self.is_open = False
        for stream in self._streams.values():
            stream.fail()
        self._streams.clear()
        self._on_lost(self)
        self._connection.end_lost()

    def break_other_later(self) -> None:
        """Let the other side notice when the news has travelled."""
        other = self._connection.other_end(self)
        if other.is_open:
            self._connection.fabric.post(self.host, self.peer, CONTROL_BYTES, other.break_now)

    def break_other_at_last(self) -> None:
        """Let the other side notice at the end of its patience: our machine is gone without a word."""
        self._connection.break_after_silence(self._connection.other_end(self))

    def reset_other(self, stream: SimStream) -> None:
        """Let the other end of one stream know that it was aborted."""
        if not self.is_open:  # Else a machine that has lost its power would still tell its peers.
            return
        other = self._connection.other_end(self)
        self._connection.fabric.post(self.host, self.peer, CONTROL_BYTES, lambda: other.stream_was_reset(stream.number))

    def stream_was_reset(self, number: int) -> None:
        """The other side aborted this stream."""
        stream = self._streams.pop(number, None)
        if stream is not None:
            stream.fail()

    def open_stream(self, protocol: str = OTHER) -> tuple[Stream, Stream]:
        """Return the two ends of a new stream, ours first; its bytes count for the protocol."""
        return self._connection.open_stream(self, protocol)


class Connection:
    """The two ends, and what they share."""

    def __init__(
        self,
        fabric: Fabric,
        *,
        dialler: Host,
        listener: Host,
        address: str,
        source: str = "",
        on_lost: tuple[Callable[[ConnectionEnd], None], Callable[[ConnectionEnd], None]],
    ) -> None:
        """Connect two hosts; `on_lost` are called when an end is gone: the dialler's, the listener's.

        `source` is where the dialler is, as the listener sees it.
        """
        self.fabric = fabric
        self.dialled = ConnectionEnd(self, host=dialler, peer=listener, address=address, on_lost=on_lost[0])
        self.accepted = ConnectionEnd(self, host=listener, peer=dialler, address="", source=source, on_lost=on_lost[1])
        fabric.connections[self] = None
        fabric.trace.record("connected", dialler.name, listener.name)

    def ends(self) -> tuple[Host, Host]:
        """Return the hosts: dialler, listener."""
        return self.dialled.host, self.accepted.host

    def other_end(self, end: ConnectionEnd) -> ConnectionEnd:
        """Return the other side."""
        return self.accepted if end is self.dialled else self.dialled

    def break_ends(self) -> None:
        """Let both sides notice that it is gone."""
        self.dialled.break_now()
        self.accepted.break_now()

    def break_for_peer_of(self, host: Host) -> None:
        """Let the other side of `host` notice; this one hears of it when the news has travelled."""
        end = self.accepted if host is self.dialled.host else self.dialled
        end.break_now()
        end.break_other_later()

    def break_after_silence(self, end: ConnectionEnd) -> None:
        """Let one side notice at the end of its patience."""
        self.fabric.break_after_silence(end.break_now)

    def end_lost(self) -> None:
        """One end is gone; with the second one the connection itself."""
        if not self.dialled.is_open and not self.accepted.is_open:
            del self.fabric.connections[self]
        self.fabric.trace.record("disconnected", self.dialled.host.name, self.accepted.host.name)
        self.fabric.notify()

    def open_stream(self, opener: ConnectionEnd, protocol: str = OTHER) -> tuple[SimStream, SimStream]:
        """Return the two ends of a new stream, the opener's first."""
        other = self.other_end(opener)
        number = self.fabric.new_number()
        there = Pipe(self.fabric, number, opener.host, other.host, kind=protocol)
        back = Pipe(self.fabric, number, other.host, opener.host, kind=protocol)
        ours = SimStream(opener, number=number, incoming=back, outgoing=there)
        theirs = SimStream(other, number=number, incoming=there, outgoing=back)
        opener.add(ours)
        other.add(theirs)
        return ours, theirs
