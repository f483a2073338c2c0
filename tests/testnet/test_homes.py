"""The homes of testnet nodes."""

from __future__ import annotations

from pathlib import Path

from p2pnode.storage.home import Home, open_home
from testnet.homes import Plan, make_home

ADDRESS = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWGzBXWNvHpLALvWBhTvQGAwLvfe8a9ZjnzLdVBR3z5tCC"


def made(path: Path, *, name: str = "node-00", seed: str | None = None, bootstrap: str | None = None) -> Home:
    make_home(path, Plan(name=name, network="testnet-1", seed=seed, bootstrap=bootstrap))
    return open_home(path)


def test_a_home_is_on_loopback_in_its_network_with_the_testnet_profile(tmp_path: Path) -> None:
    settings = made(tmp_path / "home").settings
    assert (settings.network, settings.profile) == ("testnet-1", "testnet")
    assert settings.listen == ("/ip4/127.0.0.1/tcp/0",)
    assert settings.bootstrap == ()


def test_only_the_first_node_is_given_to_the_others(tmp_path: Path) -> None:
    assert made(tmp_path / "home", bootstrap=ADDRESS).settings.bootstrap == (ADDRESS,)


def test_a_seed_gives_the_same_keys_again_and_each_name_its_own(tmp_path: Path) -> None:
    first, again = made(tmp_path / "a", seed="lighthouse"), made(tmp_path / "b", seed="lighthouse")
    other = made(tmp_path / "c", seed="lighthouse", name="node-01")
    assert (first.identity.public, first.owner.public) == (again.identity.public, again.owner.public)
    assert len({home.identity.public for home in (first, other)} | {first.owner.public, other.owner.public}) == 4


def test_without_a_seed_keys_are_random(tmp_path: Path) -> None:
    assert made(tmp_path / "a").identity.public != made(tmp_path / "b").identity.public
