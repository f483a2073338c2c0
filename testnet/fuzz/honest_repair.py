"""Honest requests for repair, and the symbols that answer them: what damage begins with."""

from __future__ import annotations

from functools import cache

from p2pnode.coding import SymbolProof
from p2pnode.protocols.page_records import page_name
from p2pnode.protocols.repair import exchange
from p2pnode.protocols.repair.exchange import Ask, PairRecovery
from testnet.fuzz.honest import OWNER, WALL, N, honest_blob
from testnet.fuzz.values import KEYS, NETWORK
from wire.ids import Axis, Digest, LeaseTarget, PublicKey, ShardIndex
from wire.repair import RecoveredSymbols, RecoverSymbols, TakeOver, TellLoss

_LOST = ShardIndex(3)


def _page() -> Digest:
    return page_name(PublicKey(OWNER.public), LeaseTarget(honest_blob(size=300).blob_id), 0)


def recover_symbols(shard: int) -> RecoverSymbols:
    """Return a request for what a node that holds shard 0 has for another one."""
    blob = honest_blob(size=300)
    intent = exchange.make_intent(KEYS[1], _page(), [blob.blob_id], ShardIndex(shard), network=NETWORK, time=WALL)
    recovery = PairRecovery(blob.encoded.metadata, ShardIndex(shard))
    asks = [Ask(0, ShardIndex(0), axis) for axis in Axis]
    return RecoverSymbols(intent=intent.envelope, wanted=exchange.wanted_of(asks, [recovery]), retractions=())


def tell_loss(shard: int) -> TellLoss:
    """Return the notice that a shard is missing."""
    return TellLoss(page=_page(), blob_ids=(honest_blob(size=300).blob_id,), shard=shard)


def take_over(shard: int) -> TakeOver:
    """Return the offer of one that drains."""
    return TakeOver(page=_page(), blob_ids=(honest_blob(size=300).blob_id,), shard=shard)


def asked_symbols() -> tuple[list[Ask], PairRecovery]:
    """Return what is asked for a lost pair, and the recovery that asks."""
    recovery = PairRecovery(honest_blob(size=300).encoded.metadata, _LOST)
    wanted = recovery.wanted([ShardIndex(shard) for shard in range(N) if shard != _LOST])
    assert wanted is not None
    return [Ask(0, shard, axis) for shard, axis in wanted], recovery


@cache
def true_symbols() -> dict[Ask, SymbolProof]:
    """Return the symbols that were asked for."""
    asks, recovery = asked_symbols()
    blob = honest_blob(size=300)
    wanted = exchange.wanted_of(asks, [recovery])
    slivers = {
        (Axis(each.axis), each.index): bytes(blob.encoded.sliver(Axis(each.axis), each.index).data) for each in wanted
    }
    made = exchange.symbols_for(blob.encoded.metadata, _LOST, slivers)
    return {ask: made[Axis(each.axis), each.index] for ask, each in zip(asks, wanted, strict=True)}


def recovered_symbols() -> tuple[RecoveredSymbols, bytes]:
    """Return them as they travel, with the bytes that follow."""
    message, parts = exchange.make_answer(dict(enumerate(true_symbols().values())))
    return message, b"".join(parts)
