"""`verify`: what a certificate proves, to somebody who has nothing but its bytes."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from p2pnode import bft
from p2pnode.errors import PeerFaultError
from p2pnode.protocols.verifying import CERTIFICATE_BYTES_MAX, is_evidence, verify, verify_evidence
from tests import factories
from tests.factories import NETWORK, N, blob_id, owner_key, peer_id
from tests.protocols.test_challenge import HOLDER
from tests.protocols.test_evidence import evidence_of, false_answer
from wire import limits
from wire.codec import encode
from wire.errors import WireError
from wire.ids import Signature


def test_a_good_certificate_tells_who_signed_for_how_many_shards_until_when() -> None:
    signed = factories.signed_certificate(blob_id(1))
    found = verify(encode(signed.envelope), network=NETWORK)
    assert (found.owner, found.blob_ids, found.n) == (owner_key().public, (blob_id(1),), N)
    assert found.shards == len(found.signers) >= found.needed == bft.quorum(N)
    assert found.lease_end == factories.lease(blob_id(1)).end
    assert list(found.signers) == sorted(found.signers)


def test_whom_we_do_not_know_is_a_domain_of_its_own_and_not_vetted() -> None:
    found = verify(encode(factories.signed_certificate(blob_id(1)).envelope), network=NETWORK)
    first, second = found.signers[:2]
    assert found.domains({}) == len(found.signers)
    assert found.domains({first: "a", second: "a", peer_id(99): "b"}) == len(found.signers) - 1
    assert found.vetted([first, peer_id(99)]) == 1


def test_what_is_forged_or_of_another_network_or_no_certificate_is_refused() -> None:
    envelope = factories.signed_certificate(blob_id(1)).envelope
    with pytest.raises(PeerFaultError, match="cannot count"):
        verify(encode(replace(envelope, signature=Signature(bytes(64)))), network=NETWORK)
    with pytest.raises(PeerFaultError, match="cannot count"):
        verify(encode(envelope), network="another")
    with pytest.raises(WireError):
        verify(b"nonsense", network=NETWORK)
    with pytest.raises(WireError):
        verify(bytes(CERTIFICATE_BYTES_MAX + 1), network=NETWORK)


def test_the_longest_record_fits_in_its_envelope() -> None:
    longest = replace(factories.envelope(), body=bytes(limits.RECORD_BYTES_MAX))
    assert len(encode(longest)) <= CERTIFICATE_BYTES_MAX


def test_evidence_is_told_from_certificates_and_checked_by_itself(rng: random.Random) -> None:
    data = encode(evidence_of(false_answer(rng)))
    assert is_evidence(data)
    assert not is_evidence(encode(factories.signed_certificate(blob_id(1)).envelope))
    assert verify_evidence(data, network=NETWORK).accused == peer_id(HOLDER)
    with pytest.raises(PeerFaultError, match="nobody signed"):
        verify_evidence(data, network="another")
