"""The ping protocol of libp2p: send back what a peer sends, 32 bytes at a time, so that it can measure us.

Our own watch over connections uses yamux's pings; this one is for other implementations, whose tools, connection
managers and routing tables expect it.
"""

from __future__ import annotations

import trio
from libp2p.abc import INetStream
from libp2p.io.exceptions import IOException
from libp2p.io.utils import read_exactly

from p2pnode.network import limits

PING = "/ipfs/ping/1.0.0"
PING_BYTES = 32


async def serve_pings(stream: INetStream) -> None:
    """Answer until the peer ends the stream or waits too long. How many streams it may have, `resources.py` says."""
    answered = 0
    while True:
        try:
            with trio.fail_after(limits.PING_WAIT_S):
                data = await read_exactly(stream, PING_BYTES)
                await stream.write(data)
        except (IOException, trio.TooSlowError):
            await stream.close()
            return
        answered += 1
        if answered >= limits.PING_BURST:
            # The peer that asks again at once waits for us: nobody can buy more of our time than this.
            await trio.sleep(limits.PING_PAUSE_S)
