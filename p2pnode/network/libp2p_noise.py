"""From a socket to a sealed, authenticated connection: multistream-select, Noise XX, and sealing of whole frames.

Noise is the only security offered or accepted: py-libp2p's default host takes plaintext and secio as well. In a
network with a secret it is Noise with a shared key, under the same name on the wire (ADR 0006).
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from libp2p.abc import IRawConnection, ISecureConn
from libp2p.connection_types import ConnectionType
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_noise_key_pair
from libp2p.peer.id import ID
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from libp2p.security.noise.transport import PROTOCOL_ID
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.security.secure_session import SecureSession
from multiaddr import Multiaddr

from crypto.keys import SigningKey
from p2pnode.network.byte_channel import ConnectionLostError
from p2pnode.network.guarded_socket import GuardedSocket
from p2pnode.network.libp2p_patches import NoiseCipher, SharedKeyNoise, cipher_of
from p2pnode.network.negotiation import NegotiationError, answer_proposals, propose
from wire.errors import WireError
from wire.ids import PeerId

NOISE = str(PROTOCOL_ID)
YAMUX = "/yamux/1.0.0"
_LENGTH_BYTES = 2


class HandshakeError(Exception):
    """The other side did not prove to be the expected peer, or to be any peer at all."""


class StrangerError(HandshakeError):
    """The two sides do not share a secret: one is not in the other's network. A broken connection looks the same."""


class SealedChannel:
    """A connection whose messages are sealed with the keys of its Noise handshake."""

    def __init__(self, socket: GuardedSocket, cipher: NoiseCipher) -> None:
        """Take over a socket on which the handshake is done."""
        self._socket = socket
        self._cipher = cipher
        self._message = memoryview(b"")

    @property
    def last_arrival(self) -> float:
        """When bytes came last, on trio's clock."""
        return self._socket.last_arrival

    async def read_some(self, bytes_max: int) -> bytes:
        """Return 1 to `bytes_max` bytes. Raises `ConnectionLostError`, also for a message that was not sealed."""
        while not self._message:
            length = int.from_bytes(await self._socket.read_exactly(_LENGTH_BYTES), "big")
            sealed = await self._socket.read_exactly(length)
            try:
                self._message = memoryview(self._cipher.decrypt(sealed))
            except Exception as error:
                self._socket.abort()
                message = "a message that was not sealed by the peer"
                raise ConnectionLostError(message) from error
        taken = bytes(self._message[:bytes_max])
        self._message = self._message[bytes_max:]
        return taken

    async def read_exactly(self, count: int) -> bytes:
        """Return exactly `count` bytes. Raises `ConnectionLostError`."""
        part = await self.read_some(count)
        if len(part) == count:
            return part
        parts = [part]
        missing = count - len(part)
        while missing:
            part = await self.read_some(missing)
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    async def write(self, data: bytes) -> None:
        """Seal and send one short message. Raises `ConnectionLostError`."""
        await self.write_frames([data])

    async def write_frames(self, frames: Sequence[bytes]) -> None:
        """Seal each frame as one message and send all at once. Raises `ConnectionLostError`."""
        parts: list[bytes] = []
        for frame in frames:
            sealed = self._cipher.encrypt(frame)
            parts += (len(sealed).to_bytes(_LENGTH_BYTES, "big"), sealed)
        await self._socket.write(b"".join(parts))

    def abort(self) -> None:
        """Close at once."""
        self._socket.abort()


class Handshaker:
    """Our identity, as the handshakes of all connections use it."""

    def __init__(self, key: SigningKey, *, shared_key: bytes | None = None) -> None:
        """Derive what Noise needs from the identity key; the Noise key itself is new in each process.

        With a `shared_key` (`NetworkSecret.handshake_key`) only who has it too gets an answer.
        """
        self.key_pair = create_new_key_pair(key.seed)
        noise_key = create_new_noise_key_pair().private_key
        self._has_shared_key = shared_key is not None
        self._transport = (
            NoiseTransport(self.key_pair, noise_key)
            if shared_key is None
            else SharedKeyNoise(self.key_pair, noise_key, shared_key=shared_key)
        )

    async def secure_outbound(self, socket: GuardedSocket, expected: PeerId) -> SealedChannel:
        """Prove both sides and return the sealed channel. Raises `HandshakeError`; the caller sets the deadline."""
        try:
            await propose(socket, [NOISE])
            secured = await self._noise(self._transport.secure_outbound(_NoiseConnection(socket), ID(bytes(expected))))
            channel = self._checked(socket, secured, expected)[0]
            await propose(channel, [YAMUX])
            return channel
        except (ConnectionLostError, NegotiationError) as error:
            message = f"the handshake failed: {error}"
            raise HandshakeError(message) from error

    async def secure_inbound(self, socket: GuardedSocket) -> tuple[SealedChannel, PeerId]:
        """Prove both sides and return the sealed channel and who is there. Raises `HandshakeError`."""
        try:
            await answer_proposals(socket, [NOISE])
            secured = await self._noise(self._transport.secure_inbound(_NoiseConnection(socket)))
            channel, peer_id = self._checked(socket, secured, None)
            await answer_proposals(channel, [YAMUX])
            return channel, peer_id
        except (ConnectionLostError, NegotiationError) as error:
            message = f"the handshake failed: {error}"
            raise HandshakeError(message) from error

    async def _noise(self, handshake: Awaitable[ISecureConn]) -> ISecureConn:
        try:
            return await handshake
        except PeerIDMismatchesPubkey as error:
            message = f"another node than the expected one is there: {error}"
            raise HandshakeError(message) from error
        except Exception as error:
            reason = str(error) or type(error).__name__
            hint = (
                "the other side is not in this network, or its secret differs"
                if self._has_shared_key
                else "the other side may be in a network with a secret, which takes an invitation to join"
            )
            message = f"the Noise handshake failed ({reason}): {hint}"
            raise StrangerError(message) from error

    def _checked(
        self, socket: GuardedSocket, secured: ISecureConn, expected: PeerId | None
    ) -> tuple[SealedChannel, PeerId]:
        assert isinstance(secured, SecureSession)
        try:
            peer_id = PeerId(secured.get_remote_peer().to_bytes())
        except WireError as error:
            message = "the other side's key is not an Ed25519 key"
            raise HandshakeError(message) from error
        if expected is not None and peer_id != expected:
            message = f"expected peer {expected.hex()[:24]}, found {peer_id.hex()[:24]}"
            raise HandshakeError(message)
        return SealedChannel(socket, cipher_of(secured)), peer_id


class _NoiseConnection(IRawConnection):
    """Our socket in the shape that py-libp2p's handshake wants."""

    def __init__(self, socket: GuardedSocket) -> None:
        self._socket = socket

    async def read(self, n: int | None = None) -> bytes:
        assert n is not None
        return await self._socket.read_some(n) if n else b""

    async def write(self, data: bytes) -> None:
        await self._socket.write(data)

    async def close(self) -> None:
        self._socket.abort()

    def get_remote_address(self) -> tuple[str, int] | None:
        return self._socket.remote

    def get_transport_addresses(self) -> list[Multiaddr]:
        return []

    def get_connection_type(self) -> ConnectionType:
        return ConnectionType.DIRECT
