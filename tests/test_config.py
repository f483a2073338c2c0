"""Claims about profiles: which parameters all members share, and that the times are in a sensible order."""

from __future__ import annotations

import pytest

from p2pnode.config import HOME, PRIVATE, PROFILES, PUBLIC, TESTNET, Profile
from wire import limits
from wire.protocol_ids import NetworkNames


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_silence_leads_from_suspect_to_lost_and_leases_fit_their_limits(profile: Profile) -> None:
    assert profile.member_record_every_s < profile.member_stale_after_s
    assert profile.suspect_after_s < profile.offline_after_s < profile.long_grace_s
    assert profile.short_grace_s < profile.long_grace_s
    assert profile.provisional_lease_s <= limits.PROVISIONAL_SECONDS_MAX
    assert profile.provisional_lease_s < profile.lease_s <= limits.LEASE_SECONDS_MAX


def test_graces_are_local_and_what_is_shared_names_the_network() -> None:
    def protocol(profile: Profile) -> str:
        return NetworkNames("n", profile.shared()).protocol("store")

    assert protocol(PUBLIC) == protocol(HOME)
    assert len({protocol(PUBLIC), protocol(PRIVATE), protocol(TESTNET)}) == 3
