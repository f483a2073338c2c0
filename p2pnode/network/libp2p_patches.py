"""Every private or module-global name of py-libp2p that we depend on or bend, in one place, for one pinned version.

An upgrade reruns `tests/network/test_libp2p_patches.py` and the defect tests before the number here may change.
"""

from __future__ import annotations

import importlib
import logging
from importlib import metadata
from typing import Any, Protocol

import trio
from libp2p.crypto.keys import KeyPair, PrivateKey
from libp2p.kad_dht import common as kad_common
from libp2p.kad_dht.kad_dht import KadDHT
from libp2p.peer.id import ID
from libp2p.security.noise.patterns import IPattern, PatternXX
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.security.secure_session import SecureSession

PINNED_VERSION = "0.8.1"

KAD_PROTOCOL = str(kad_common.PROTOCOL_ID)
"""What py-libp2p calls the DHT whatever `protocol_prefix` says. Our host gives each network's DHT its own name on the
wire (`libp2p_host.py`), so that several networks can live in one process; nothing global is changed."""

KAD_MODULES = ("common", "kad_dht", "peer_routing", "provider_store", "value_store")
"""The modules that carry a copy of the name; the test looks that no other one has come up."""


class WrongVersionError(RuntimeError):
    """Another version of py-libp2p is installed than the one that was examined."""


def check_version() -> None:
    """Raise `WrongVersionError` unless the pinned version is installed."""
    installed = metadata.version("libp2p")
    if installed != PINNED_VERSION:
        message = f"libp2p {installed} is installed, this program was examined with {PINNED_VERSION}: run make setup"
        raise WrongVersionError(message)


def quieten_logging() -> None:
    """Silence py-libp2p: it logs expected ends of connections as errors, with tracebacks, to handlers of its own.

    What matters to a user is logged by our own modules.
    """
    for name in ("libp2p", "multiaddr", "root.libp2p"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def kad_protocol_copies() -> dict[str, str]:
    """Return the DHT's protocol id as each of its modules has it."""
    modules = {name: importlib.import_module(f"libp2p.kad_dht.{name}") for name in KAD_MODULES}
    return {name: str(module.PROTOCOL_ID) for name, module in modules.items()}


def set_dht_streams_max(table: KadDHT, count: int) -> None:
    """Change how many inbound streams the DHT serves at a time."""
    table._inbound_limiter = trio.CapacityLimiter(count)  # noqa: SLF001 - it has no argument for it


class NoiseCipher(Protocol):
    """Seals and opens the messages of one connection, each direction strictly in order."""

    def encrypt(self, data: bytes) -> bytes:
        """Return the sealed message."""
        ...

    def decrypt(self, data: bytes) -> bytes:
        """Return what was sealed. Raises whatever the library raises when it was not sealed by the peer."""
        ...


def cipher_of(session: SecureSession) -> NoiseCipher:
    """Return the keys that a Noise handshake agreed on, so that we can seal and open without py-libp2p's copies."""
    cipher: NoiseCipher = session.conn.noise_state  # type: ignore[attr-defined] # The Noise transport's own type has it.
    return cipher


class SharedKeyNoise(NoiseTransport):
    """libp2p's Noise with a key that both sides must have: the pattern XXpsk0 of the Noise specification."""

    def __init__(self, key_pair: KeyPair, noise_key: PrivateKey, *, shared_key: bytes) -> None:
        """Take what the plain transport takes, and 32 bytes that all members of the network know."""
        super().__init__(key_pair, noise_key)
        self._shared_key = shared_key

    def get_pattern(self) -> IPattern:
        """Return the handshake of one connection."""
        return _SharedKeyPattern(self.local_peer, self.libp2p_privkey, self.noise_privkey, self._shared_key)


class _SharedKeyPattern(PatternXX):
    """XX whose very first message is sealed with the shared key: a stranger's is not answered (ADR 0006)."""

    def __init__(self, local_peer: ID, identity: PrivateKey, noise_key: PrivateKey, shared_key: bytes) -> None:
        super().__init__(local_peer, identity, noise_key)
        self.protocol_name = b"Noise_XXpsk0_25519_ChaChaPoly_SHA256"
        self._shared_key = shared_key

    def create_noise_state(self, prologue: bytes | None = None) -> Any:  # noqa: ANN401 - the library has no types
        state = super().create_noise_state(prologue)
        state.set_psks(psk=self._shared_key)
        return state
