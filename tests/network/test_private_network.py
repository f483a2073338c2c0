"""Networks with a secret: members talk, and a stranger gets nothing, however cleverly he asks."""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from noise.connection import Keypair, NoiseConnection  # type: ignore[import-untyped] # it has no types

from crypto.keys import SEED_BYTES, SigningKey
from p2pnode.config import TESTNET
from p2pnode.errors import PeerUnavailableError
from p2pnode.network.libp2p_adapter import Libp2pNetwork
from p2pnode.network.negotiation import encode_line
from p2pnode.seams import Verdict
from p2pnode.system import SystemClock, SystemRng
from tests.network.lab import LOOPBACK, NAMES, assert_echoes, echo, full_address, make_network, running, until
from wire.network_secret import SECRET_BYTES, NetworkSecret
from wire.protocol_ids import NetworkNames

NOISE_NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"
GREETING = encode_line("/multistream/1.0.0") + encode_line("/noise")
TOPIC = "secrets"
HINT = "the other side is not in this network, or its secret differs"
HINT_WITHOUT = "the other side may be in a network with a secret, which takes an invitation to join"


def new_secret(rng: random.Random) -> NetworkSecret:
    return NetworkSecret(rng.randbytes(SECRET_BYTES))


def private_network(
    rng: random.Random, secret: NetworkSecret | None, *, names: NetworkNames = NAMES
) -> tuple[Libp2pNetwork, list[bytes]]:
    """Return a network that echoes, and what it hears of a topic."""
    network = Libp2pNetwork(
        key=SigningKey(rng.randbytes(SEED_BYTES)),
        names=names,
        profile=dataclasses.replace(TESTNET, dial_timeout_s=5.0),
        clock=SystemClock(),
        rng=SystemRng(),
        listen=(LOOPBACK,),
        secret=secret,
    )
    heard: list[bytes] = []

    def hear(_sender: object, data: bytes) -> Verdict:
        heard.append(data)
        return Verdict.ACCEPT

    network.handle("/test/echo", echo)
    network.subscribe(TOPIC, hear)
    return network, heard


@asynccontextmanager
async def connection_to(network: Libp2pNetwork) -> AsyncIterator[trio.SocketStream]:
    """Open a bare connection and agree on Noise, as anybody can."""
    port = int(network.addresses()[0].rpartition("/")[2])
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(GREETING)
        answer = b""
        while len(answer) < len(GREETING):
            answer += await stream.receive_some(len(GREETING) - len(answer))
        assert answer == GREETING
        yield stream


async def answer_to(stream: trio.SocketStream, message: bytes) -> bytes:
    """Send the first message of a handshake and return all that comes until the connection is closed, or a message."""
    await stream.send_all(len(message).to_bytes(2, "big") + message)
    received = b""
    try:
        while len(received) < 2 or len(received) < 2 + int.from_bytes(received[:2], "big"):
            part = await stream.receive_some(4096)
            if not part:
                break
            received += part
    except trio.BrokenResourceError:
        pass
    return received


def initiator(rng: random.Random) -> NoiseConnection:
    """Return the handshake state of a stranger who speaks libp2p's Noise."""
    state = NoiseConnection.from_name(NOISE_NAME)
    state.set_keypair_from_private_bytes(Keypair.STATIC, rng.randbytes(32))
    state.set_as_initiator()
    state.start_handshake()
    return state


def opened_without_looking_at_the_seals(state: NoiseConnection, message: bytes) -> bytes:
    """Return what the second message of XX says to somebody who does not care whether its seals fit."""
    handshake = state.noise_protocol.handshake_state
    symmetric = handshake.symmetric_state

    def mix(public: bytes) -> None:
        symmetric.mix_key(handshake.e.private.exchange(X25519PublicKey.from_public_bytes(public)))

    def unseal(sealed: bytes) -> bytes:
        start = (1).to_bytes(4, "little") + bytes(12)  # Block 0 makes the key of the seal; the nonce is 0.
        cipher = Cipher(algorithms.ChaCha20(bytes(symmetric.cipher_state.k), start), mode=None)
        return cipher.decryptor().update(sealed[:-16])

    mix(message[:32])
    static = unseal(message[32:80])
    mix(static)
    return unseal(message[80:])


async def test_members_with_the_same_secret_talk_gossip_and_find_each_other(rng: random.Random) -> None:
    secret = new_secret(rng)
    (first, _), (second, heard) = private_network(rng, secret), private_network(rng, secret)
    async with running(first, second):
        assert await first.bootstrap(full_address(second)) == second.peer_id
        await assert_echoes(first, second)
        await assert_echoes(second, first)
        while not heard:
            await first.publish(TOPIC, b"hello")
            await trio.lowlevel.checkpoint()
        assert heard[0] == b"hello"


@pytest.mark.parametrize("others_secret", ["another", "none"])
async def test_a_stranger_gets_no_connection_and_is_told_why(rng: random.Random, others_secret: str) -> None:
    member, heard = private_network(rng, new_secret(rng))
    stranger, _ = private_network(rng, new_secret(rng) if others_secret == "another" else None)
    hint = HINT if others_secret == "another" else HINT_WITHOUT
    async with running(member, stranger):
        with pytest.raises(PeerUnavailableError, match=hint):
            await stranger.bootstrap(full_address(member))
        with pytest.raises(PeerUnavailableError, match=HINT):
            await member.bootstrap(full_address(stranger))
        await until(lambda: member.connections.slots_taken == (0, 0, 0))
        assert (member.connected(), stranger.connected()) == ((), ())
        assert await stranger.find_addresses(member.peer_id) == ()
        assert heard == []


async def test_the_same_secret_in_a_network_of_another_name_does_not_join_them(rng: random.Random) -> None:
    secret = new_secret(rng)
    member, _ = private_network(rng, secret)
    other, _ = private_network(rng, secret, names=NetworkNames("other", TESTNET.shared()))
    async with running(member, other):
        with pytest.raises(PeerUnavailableError, match=HINT):
            await other.bootstrap(full_address(member))


async def test_the_right_secret_at_another_node_than_the_expected_is_not_called_a_wrong_secret(
    rng: random.Random,
) -> None:
    secret = new_secret(rng)
    (first, _), (second, _), (third, _) = (private_network(rng, secret) for _ in range(3))
    async with running(first, second, third):
        address = full_address(second).replace(str(second.peer_id), str(third.peer_id))
        with pytest.raises(PeerUnavailableError, match="another node than the expected one is there"):
            await first.bootstrap(address)


async def test_a_stranger_gets_not_one_byte_after_the_greeting(rng: random.Random) -> None:
    member, _ = private_network(rng, new_secret(rng))
    ephemeral = initiator(rng).write_message(b"")
    async with running(member):
        for message in (ephemeral, bytes(ephemeral) + bytes(16), rng.randbytes(48), b"", rng.randbytes(2_000)):
            async with connection_to(member) as stream:
                assert await answer_to(stream, bytes(message)) == b""
        await until(lambda: member.connections.slots_taken == (0, 0, 0))


async def test_without_a_secret_the_same_stranger_reads_the_peer_id_without_a_seal_that_fits(
    rng: random.Random,
) -> None:
    """The control of the test above: its question is the right one.

    It also shows why the secret is not in the prologue: that changes the seals only, and here nobody looks at them.
    """
    open_network = make_network(rng)
    state = initiator(rng)
    async with running(open_network), connection_to(open_network) as stream:
        answer = await answer_to(stream, bytes(state.write_message(b"")))
        assert bytes(open_network.peer_id)[6:] in opened_without_looking_at_the_seals(state, answer[2:])


async def test_a_recorded_first_message_gets_an_answer_that_only_its_author_can_read(rng: random.Random) -> None:
    secret = new_secret(rng)
    member, _ = private_network(rng, secret)
    author = NoiseConnection.from_name(b"Noise_XXpsk0_25519_ChaChaPoly_SHA256")
    author.set_keypair_from_private_bytes(Keypair.STATIC, rng.randbytes(32))
    author.set_psks(secret.handshake_key(NAMES.network))
    author.set_as_initiator()
    author.start_handshake()
    recorded = bytes(author.write_message(b""))
    async with running(member), connection_to(member) as stream:
        answer = (await answer_to(stream, recorded))[2:]
        assert bytes(member.peer_id)[6:] not in answer
        assert bytes(member.peer_id)[6:] in bytes(author.read_message(answer))


async def test_the_secret_and_what_follows_from_it_are_never_logged(
    rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = new_secret(rng)
    (member, _), (stranger, _) = private_network(rng, secret), private_network(rng, None)
    async with running(member, stranger):
        with pytest.raises(PeerUnavailableError):
            await member.bootstrap(full_address(stranger))
        with pytest.raises(PeerUnavailableError):
            await stranger.bootstrap(full_address(member))
    for hidden in (secret, secret.handshake_key(NAMES.network)):
        for spelling in (hidden.hex(), repr(bytes(hidden)), str(list(hidden))):
            assert spelling not in caplog.text
    assert caplog.text.count("no contact with the bootstrap address") == 2


async def test_a_bootstrap_address_that_fails_is_told_once(
    rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    (member, _), (stranger, _) = private_network(rng, new_secret(rng)), private_network(rng, new_secret(rng))
    async with running(member, stranger):
        for _ in range(3):
            with pytest.raises(PeerUnavailableError):
                await stranger.bootstrap(full_address(member))
    assert caplog.text.count("no contact with the bootstrap address") == 1
    assert HINT in caplog.text
