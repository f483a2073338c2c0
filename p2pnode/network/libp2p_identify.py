"""The identify protocol: tell a peer where we listen, and ask where it does, so that the DHT can pass it on."""

from __future__ import annotations

import logging

import trio
from google.protobuf.message import DecodeError
from libp2p.abc import INetStream
from libp2p.exceptions import ParseError
from libp2p.identity.identify.identify import ID as IDENTIFY_PROTOCOL
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.io.exceptions import IOException
from libp2p.utils.varint import encode_varint_prefixed, read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrError

from p2pnode.membership.circuit_addresses import without_peer
from p2pnode.network import limits
from p2pnode.network.libp2p_host import ForeignHost
from wire import limits as wire_limits

IDENTIFY = str(IDENTIFY_PROTOCOL)
_AGENT = "p2pnode"

logger = logging.getLogger(__name__)


def identify_message(host: ForeignHost) -> bytes:
    """Return what we tell of ourselves: key, concrete addresses, protocols."""
    message = Identify(
        protocol_version="ipfs/0.1.0",
        agent_version=_AGENT,
        public_key=host.get_public_key().serialize(),
        listen_addrs=[address.to_bytes() for address in host.get_transport_addrs()],
        protocols=list(host.get_mux().get_protocols()),
    )
    return encode_varint_prefixed(message.SerializeToString())


async def answer_identify(host: ForeignHost, stream: INetStream) -> None:
    """Serve one identify stream."""
    await stream.write(identify_message(host))
    await stream.close()


async def ask_identify(stream: INetStream) -> list[str]:
    """Return the addresses that a peer says it listens on, as it says it; empty when it says nothing of use."""
    try:
        with trio.fail_after(limits.NEGOTIATION_S):
            data = await read_varint_prefixed_bytes_limited(stream, limits.IDENTIFY_BYTES_MAX)
        message = Identify()
        message.ParseFromString(data)
        return [_text(raw) for raw in list(message.listen_addrs)[: wire_limits.ADDRESSES_MAX]]
    except (trio.TooSlowError, IOException, DecodeError, ParseError, MultiaddrError, ValueError) as error:
        logger.debug("identify came to nothing: %r", error)
        return []
    finally:
        await stream.reset()


def _text(raw: bytes) -> str:
    return without_peer(str(Multiaddr(raw)))
