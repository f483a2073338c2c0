"""What the claims about faults share: everybody connected with everybody, who redials, and who still talks to whom."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from functools import partial

import trio

from p2pnode.errors import PeerUnavailableError
from p2pnode.seams import GossipHandler, Network, Verdict
from tests.contract.network_lab import PROTOCOL, TOPIC, Lab, Member, ask_echo, echo, introduce, wait_until
from wire.ids import PeerId

NOTICED_S = 30.0
"""Within this time a peer that is gone must be noticed, and a healed one be back."""

ANSWER_S = 60.0
"""No echo of a test takes longer: by then the peer was noticed to be gone, or the bytes have come."""

GOSSIP_SOON_S = 10.0
"""How long a mesh of some nodes may need to mend itself and carry a message to all."""

_REDIAL_S = 1.0


async def everybody(lab: Lab, count: int) -> list[Member]:
    """Start some members that serve `echo`, and connect all pairs."""
    members = [await lab.start({PROTOCOL: echo}) for _ in range(count)]
    for one, other in itertools.combinations(members, 2):
        await introduce(one.network, other.network)
    return members


async def keep_dialling(members: Sequence[Member]) -> None:
    """Let every member dial, again and again, the later ones of the list that it has no connection with."""
    async with trio.open_nursery() as nursery:
        for one, other in itertools.combinations(members, 2):
            nursery.start_soon(_keep_dialling, one.network, other.network)


async def _keep_dialling(one: Network, other: Network) -> None:
    while True:
        with contextlib.suppress(PeerUnavailableError):
            await one.connect(other.peer_id)
        await trio.sleep(_REDIAL_S)


async def talks(one: Network, other: Network, data: bytes) -> bool:
    """Tell whether an echo comes back from a peer in ANSWER_S; what comes back is right, or the test fails."""
    stream, answers = None, []
    with trio.fail_after(ANSWER_S):
        try:
            stream = await one.open_stream(other.peer_id, PROTOCOL)
            answers.append(await ask_echo(stream, data))
        except* PeerUnavailableError:
            if stream is not None:
                await stream.reset()
            is_lost = True
        else:
            await stream.close()
            is_lost = False
    assert is_lost or answers == [data], "an echo came back with other bytes"
    return not is_lost


async def until_all_talk(pairs: Sequence[tuple[Member, Member]]) -> None:
    """Wait until an echo came back over each pair, the one side asking and the other."""
    async with trio.open_nursery() as nursery:
        for one, other in pairs:
            nursery.start_soon(until_talks, one.network, other.network)
            nursery.start_soon(until_talks, other.network, one.network)


async def until_talks(one: Network, other: Network) -> None:
    """Ask a peer again and again until an echo comes back."""
    data = f"from {one.peer_id.hex()} to {other.peer_id.hex()}".encode()
    while not await talks(one, other, data):  # noqa: ASYNC110 - what is waited for sets no event
        await trio.sleep(_REDIAL_S)


def pairs_between(some: Sequence[Member], others: Sequence[Member]) -> list[tuple[Member, Member]]:
    """Return all pairs of a member of one group and one of the other."""
    return list(itertools.product(some, others))


def hear(heard: list[bytes]) -> GossipHandler:
    """Return a handler that notes every message and lets it pass."""

    def handler(via: PeerId, data: bytes) -> Verdict:
        del via
        heard.append(data)
        return Verdict.ACCEPT

    return handler


async def gossips_to_all(members: Sequence[Member], heard: Mapping[int, list[bytes]], name: bytes) -> None:
    """Demand that within GOSSIP_SOON_S one message of each member reaches all others, and that none is heard twice.

    A mesh of subscriptions needs a moment to form, and what is published before is rightly lost: so each member first
    publishes until the others hear anything of it.
    """
    for number, member in enumerate(members):
        others = [messages for other, messages in heard.items() if other != number]
        with trio.fail_after(GOSSIP_SOON_S):
            for attempt in itertools.count():
                early = name + b" %d, attempt %d" % (number, attempt)
                await member.network.publish(TOPIC, early)
                await trio.sleep(_REDIAL_S / 4)
                if all(early in messages for messages in others):
                    break
    for number, member in enumerate(members):
        others = [messages for other, messages in heard.items() if other != number]
        await member.network.publish(TOPIC, name + b" %d" % number)
        with trio.fail_after(GOSSIP_SOON_S):
            await wait_until(partial(_all_have, others, name + b" %d" % number))
    assert all(len(messages) == len(set(messages)) for messages in heard.values())


def _all_have(heard: Sequence[Sequence[bytes]], data: bytes) -> bool:
    return all(data in messages for messages in heard)
