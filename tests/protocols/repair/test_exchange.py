"""The symbols of a pair: any good sources give it back, a wrong symbol is told from whom it came."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pnode import bft
from p2pnode.coding import BlobMetadata, EncodedBlob, SymbolProof, encode, pair_of_shard
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.repair import exchange
from p2pnode.protocols.repair.exchange import Ask, PairRecovery, make_intent, open_intent
from tests import factories
from tests.factories import NETWORK, TIME, key, peer_id
from wire import limits
from wire.ids import Axis, BlobId, ShardIndex
from wire.repair import RecoveredSymbols, WantedSymbol


def blob(n: int, size: int, *, number: int = 0) -> EncodedBlob:
    return encode(random.Random(number).randbytes(size), n)


def slivers_of(encoded: EncodedBlob, asks: Sequence[WantedSymbol]) -> dict[tuple[Axis, int], bytes]:
    """Return the slivers that symbols are wanted of."""
    return {(Axis(each.axis), each.index): bytes(encoded.sliver(Axis(each.axis), each.index).data) for each in asks}


def answer(
    blobs: Sequence[EncodedBlob], recoveries: Sequence[PairRecovery], asks: Sequence[Ask]
) -> tuple[RecoveredSymbols, bytes]:
    """Answer as honest holders of everything would."""
    wanted = exchange.wanted_of(asks, recoveries)
    found: dict[int, SymbolProof] = {}
    for at, encoded in enumerate(blobs):
        of_blob = {place: each for place, each in enumerate(wanted) if each.blob == at}
        metadata, shard = encoded.metadata, recoveries[at].shard
        made = exchange.symbols_for(metadata, shard, slivers_of(encoded, list(of_blob.values())))
        found |= {place: made[Axis(each.axis), each.index] for place, each in of_blob.items()}
    message, parts = exchange.make_answer(found)
    return message, b"".join(parts)


def asks_for(recoveries: Sequence[PairRecovery], sources: Sequence[ShardIndex]) -> list[Ask]:
    """Return what each of the recoveries wants of these sources."""
    found = []
    for at, recovery in enumerate(recoveries):
        wanted = recovery.wanted(sources)
        assert wanted is not None
        found += [Ask(at, shard, axis) for shard, axis in wanted]
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 16), st.integers(0, 3000), st.data())
def test_any_s_sources_give_a_pair_back_by_s_plus_p_minus_one_symbols(n: int, size: int, data: st.DataObject) -> None:
    encoded = blob(n, size)
    shard = ShardIndex(data.draw(st.integers(0, n - 1)))
    others = [ShardIndex(each) for each in range(n) if each != shard]
    sources = data.draw(st.permutations(others))[: bft.secondary_source(n)]
    recovery = PairRecovery(encoded.metadata, shard)
    asks = asks_for([recovery], sources)
    assert len(asks) == exchange.symbols_of_pair(n) == bft.secondary_source(n) + bft.primary_source(n) - 1
    good, wrong = exchange.read_answer(*answer([encoded], [recovery], asks), asks, [recovery])
    assert wrong == []
    for ask, symbol in good:
        recovery.take(ask.shard, symbol)
    assert all(count <= 0 for _, count in recovery._lacking())
    assert recovery.wanted(sources) == []
    primary, secondary = recovery.rebuild()
    lost = encoded.pair(pair_of_shard(encoded.blob_id, shard, n))
    assert (primary, secondary) == lost
    assert len(primary.data) + len(secondary.data) == exchange.bytes_of_pair(encoded.metadata.length, n)


def test_fewer_than_s_sources_are_too_few() -> None:
    recovery = PairRecovery(blob(10, 500).metadata, ShardIndex(0))
    assert recovery.wanted([ShardIndex(each) for each in range(1, 7)]) is None
    assert recovery.wanted([ShardIndex(each) for each in range(1, 8)]) is not None


def test_a_source_that_failed_is_replaced_on_its_axis_only() -> None:
    recovery = PairRecovery(blob(10, 500).metadata, ShardIndex(0))
    sources = [ShardIndex(each) for each in range(1, 10)]
    recovery.bad.add((sources[0], Axis.SECONDARY))
    wanted = recovery.wanted(sources)
    assert wanted is not None
    assert (sources[0], Axis.SECONDARY) not in wanted
    assert (sources[7], Axis.SECONDARY) in wanted
    recovery.bad |= {(each, Axis.SECONDARY) for each in sources[:3]}
    assert recovery.wanted(sources) is None


def test_a_wrong_symbol_is_told_apart_and_costs_no_other(rng: random.Random) -> None:
    blobs = [blob(7, 900, number=number) for number in range(2)]
    recoveries = [PairRecovery(each.metadata, ShardIndex(3)) for each in blobs]
    asks = asks_for(recoveries, [ShardIndex(each) for each in (0, 1, 2, 4, 5, 6)])
    message, payload = answer(blobs, recoveries, asks)
    size = recoveries[0].metadata.symbol_bytes
    assert size == recoveries[1].metadata.symbol_bytes
    at = rng.randrange(len(asks))
    spoilt = bytearray(payload)
    spoilt[at * size + rng.randrange(size)] ^= 1
    good, wrong = exchange.read_answer(message, bytes(spoilt), asks, recoveries)
    assert wrong == [asks[at]]
    assert [ask for ask, _ in good] == [each for each in asks if each is not asks[at]]


def test_what_was_left_out_of_an_answer_is_neither_good_nor_wrong() -> None:
    encoded = blob(7, 900)
    recovery = PairRecovery(encoded.metadata, ShardIndex(3))
    asks = asks_for([recovery], [ShardIndex(each) for each in (0, 1, 2, 4, 5, 6)])
    message, payload = answer([encoded], [recovery], asks)
    size = encoded.metadata.symbol_bytes
    shorter = replace(message, symbols=message.symbols[1:], symbols_bytes=message.symbols_bytes - size)
    good, wrong = exchange.read_answer(shorter, payload[size:], asks, [recovery])
    assert ([ask for ask, _ in good], wrong) == (asks[1:], [])


def test_an_answer_that_does_not_fit_the_question_is_a_fault() -> None:
    encoded = blob(7, 900)
    recovery = PairRecovery(encoded.metadata, ShardIndex(3))
    asks = asks_for([recovery], [ShardIndex(each) for each in (0, 1, 2, 4, 5, 6)])
    message, payload = answer([encoded], [recovery], asks)
    first, second = message.symbols[:2]
    for symbols in ((second, first), (first, first), (replace(first, wanted=len(asks)),)):
        wrong = replace(message, symbols=symbols)
        with pytest.raises(PeerFaultError, match="not asked for"):
            exchange.read_answer(wrong, payload[: len(symbols) * encoded.metadata.symbol_bytes], asks, [recovery])
    with pytest.raises(PeerFaultError, match="bytes of symbols"):
        exchange.read_answer(message, payload[:-1], asks, [recovery])


def test_a_long_list_of_questions_is_cut_by_count_and_by_bytes() -> None:
    asks = [Ask(0, ShardIndex(each % 10), Axis.PRIMARY) for each in range(limits.RECOVERY_SYMBOLS_MAX + 1)]
    assert [len(each) for each in exchange.requests_of(asks, lambda _: 2)] == [limits.RECOVERY_SYMBOLS_MAX, 1]
    long = limits.RECOVERY_BYTES_MAX // 3
    assert [len(each) for each in exchange.requests_of(asks[:7], lambda _: long)] == [3, 3, 1]
    assert exchange.requests_of([], lambda _: 2) == []


def test_the_longest_symbols_of_one_question_each_fit_into_an_answer() -> None:
    assert limits.RECOVERY_SYMBOLS_MAX * limits.SYMBOL_BYTES_MAX <= limits.RECOVERY_BYTES_MAX


def test_an_intent_is_its_signers_of_now_and_names_each_blob_once() -> None:
    blob_ids = [factories.blob_id(number) for number in range(2)]

    def made(names: Sequence[BlobId], *, time: int = TIME) -> object:
        envelope = make_intent(key(3), factories.digest(), names, ShardIndex(4), network=NETWORK, time=time).envelope
        return open_intent(envelope, network=NETWORK, wall=TIME)

    good = make_intent(key(3), factories.digest(), blob_ids, ShardIndex(4), network=NETWORK, time=TIME)
    assert open_intent(good.envelope, network=NETWORK, wall=TIME) == good
    assert good.signer_peer == peer_id(3)
    with pytest.raises(PeerFaultError, match="cannot count"):
        open_intent(good.envelope, network="other", wall=TIME)
    for time in (TIME - limits.CLOCK_SKEW_SECONDS - 1, TIME + limits.CLOCK_SKEW_SECONDS + 1):
        with pytest.raises(PeerFaultError, match="not of now"):
            made(blob_ids, time=time)
    with pytest.raises(PeerFaultError, match="twice"):
        made([blob_ids[0], blob_ids[0]])


def test_where_the_own_slivers_cross_no_symbol_is_asked_for() -> None:
    metadata: BlobMetadata = blob(7, 900).metadata
    recovery = PairRecovery(metadata, ShardIndex(3))
    assert exchange.index_for(Axis.SECONDARY, recovery.target, 7) == recovery.target
    assert exchange.index_for(Axis.PRIMARY, recovery.target, 7) == 6 - recovery.target
    pair = pair_of_shard(metadata.blob_id, ShardIndex(5), 7)
    assert exchange.sliver_of_shard(metadata.blob_id, ShardIndex(5), Axis.PRIMARY, 7) == pair
    assert exchange.sliver_of_shard(metadata.blob_id, ShardIndex(5), Axis.SECONDARY, 7) == 6 - pair
