"""`init --with-secret`, `invite` and `join`: a secret gets to who was invited and nowhere else."""

from __future__ import annotations

import base64
import dataclasses
import json
import stat
from pathlib import Path

import pytest

from p2pnode.config import PROFILES
from p2pnode.errors import ExitCode
from p2pnode.services.results import NodeInfo
from p2pnode.storage.home import HomeSettings, create_home, open_home
from p2pnode.system import SystemRng
from tests import factories
from tests.api.fake_node import PEER_ID, FakeNode
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon
from wire.ids import PublicKey
from wire.invitations import Invitation, InvitedMember
from wire.network_secret import SECRET_BYTES, NetworkSecret
from wire.protocol_ids import NetworkNames

SECRET = NetworkSecret(bytes(range(100, 100 + SECRET_BYTES)))
ADDRESSES = ("/ip4/192.0.2.7/tcp/4710", "/ip6/2001:db8::7/tcp/4710")


def hash_of(network: str, profile: str) -> bytes:
    return bytes.fromhex(NetworkNames(network, PROFILES[profile].shared()).parameter_hash)


def code_for(
    *,
    network: str = "family",
    profile: str = "private",
    secret: NetworkSecret | None = SECRET,
    addresses: tuple[str, ...] = ADDRESSES,
    parameter_hash: bytes | None = None,
) -> str:
    return Invitation(
        network=network,
        profile=profile,
        parameter_hash=parameter_hash or hash_of(network, profile),
        secret=secret,
        members=(InvitedMember.at(factories.peer_id(), addresses),),
    ).text()


def full(addresses: tuple[str, ...] = ADDRESSES) -> tuple[str, ...]:
    return tuple(f"{address}/p2p/{factories.peer_id()}" for address in addresses)


def files_of(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}


def without_secret(text: str) -> bool:
    """Tell whether no spelling of the secret stands in a text."""
    return all(each not in text for each in (SECRET.hex(), base64.b64encode(SECRET).decode().rstrip("="), repr(SECRET)))


@pytest.fixture
def private_home(tmp_path: Path) -> Path:
    """The home of a node of the network `test`, which has a secret."""
    path = tmp_path / "private"
    settings = HomeSettings(network="test", profile="testnet", has_secret=True)
    create_home(path, settings=settings, rng=SystemRng(), secret=SECRET)
    return path


# ----------------------------------------------------------------------------- init


def test_init_with_secret_makes_one_that_only_the_owner_can_read(cli: Cli, tmp_path: Path) -> None:
    homes = [tmp_path / "one", tmp_path / "two"]
    ended = [cli("init", "--with-secret", "--home", home) for home in homes]
    assert [each.code for each in ended] == [0, 0]
    secrets = [open_home(home).secret for home in homes]
    assert None not in secrets
    assert secrets[0] != secrets[1]
    assert stat.S_IMODE((homes[0] / "network-secret").stat().st_mode) == 0o600
    text = ended[0].out.decode()
    assert "with a secret" in text
    assert "p2pnode invite" in text
    content = (homes[0] / "network-secret").read_text("ascii").split()[1]
    assert content not in text + (homes[0] / "config.toml").read_text("utf-8")


def test_init_without_it_makes_none(cli: Cli, tmp_path: Path) -> None:
    assert cli("init", "--home", tmp_path / "open").code == 0
    assert open_home(tmp_path / "open").secret is None
    assert not (tmp_path / "open" / "network-secret").exists()


# ----------------------------------------------------------------------------- invite


def test_an_invitation_carries_network_secret_and_addresses(cli: Cli, private_home: Path) -> None:
    with FakeDaemon(private_home):
        ended = cli("invite", "--home", private_home)
        answer = cli("invite", "--home", private_home, "--json").json()
        assert cli("invite", "--home", private_home, "-q").out == ended.out
        assert cli("invite", "--home", private_home, "-q").err == ""
    assert ended.code == 0
    assert ended.out.count(b"\n") == 1
    read = Invitation.parse(ended.out.decode().strip())
    assert (read.network, read.profile, read.secret) == ("test", "testnet", SECRET)
    assert read.parameter_hash == hash_of("test", "testnet")
    addresses = [f"/ip4/127.0.0.1/tcp/4710/p2p/{PEER_ID}", f"/ip4/192.0.2.7/tcp/4710/p2p/{PEER_ID}"]
    assert list(read.bootstrap()) == addresses
    assert answer == {
        "code": ended.out.decode().strip(),
        "network": "test",
        "profile": "testnet",
        "has_secret": True,
        "addresses": addresses,
    }
    assert "as you would a password" in ended.err
    assert "p2pnode join" in ended.err
    assert without_secret(ended.err + ended.out.decode() + json.dumps(answer))


def test_an_invitation_to_a_network_without_a_secret_says_that_anybody_may_join(cli: Cli, daemon: FakeDaemon) -> None:
    ended = cli("invite")
    assert ended.code == 0
    assert "anybody" in ended.err
    assert Invitation.parse(ended.out.decode().strip()).secret is None
    assert daemon.node.asked == []


def test_the_best_addresses_of_a_few_members_are_taken(
    cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = FakeNode.info
    own = (
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/192.168.1.2/tcp/1",
        "/ip4/10.0.0.2/tcp/1",
        "/ip6/2606:4700::7/tcp/1",
        "/dns4/node.example/tcp/1",
        "/ip4/0.0.0.0/tcp/1",
    )

    def info(node: FakeNode) -> NodeInfo:
        return dataclasses.replace(plain(node), addresses=tuple(f"{each}/p2p/{PEER_ID}" for each in own))

    monkeypatch.setattr(FakeNode, "info", info)
    template = daemon.node.peer_list[0]
    daemon.node.peer_list = tuple(
        dataclasses.replace(template, peer_id=str(factories.peer_id(number)), connected=connected, addresses=addresses)
        for number, connected, addresses in (
            (2, False, ("/ip4/192.0.2.2/tcp/1",)),
            (3, True, ("nonsense", "/ip4/1.2.3.4/udp/1/quic-v1")),
            (4, True, tuple(f"/ip4/198.51.100.{index}/tcp/1" for index in range(5))),
            (5, True, ("/ip4/127.0.0.1/tcp/1",)),
            (6, True, ("/ip4/192.0.2.6/tcp/1",)),
        )
    )
    code = cli("invite", "-q").out.decode().strip()
    read = Invitation.parse(code)
    assert read.members == (
        InvitedMember.at(
            read.members[0].peer_id, ["/ip6/2606:4700::7/tcp/1", "/dns4/node.example/tcp/1", "/ip4/192.168.1.2/tcp/1"]
        ),
        InvitedMember.at(factories.peer_id(4), ["/ip4/198.51.100.0/tcp/1", "/ip4/198.51.100.1/tcp/1"]),
        InvitedMember.at(factories.peer_id(5), ["/ip4/127.0.0.1/tcp/1"]),
    )
    assert str(read.members[0].peer_id) == PEER_ID


def test_a_node_without_an_address_cannot_invite(cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    node_info = daemon.node.info()
    monkeypatch.setattr(FakeNode, "info", lambda _node: dataclasses.replace(node_info, addresses=()))
    ended = cli("invite")
    assert ended.code == ExitCode.ERROR
    assert "--announce" in ended.error()


def test_without_a_daemon_invite_says_what_to_do(cli: Cli, tmp_path: Path) -> None:
    ended = cli("invite")
    assert (ended.code, ended.out) == (ExitCode.NO_DAEMON, b"")
    assert "p2pnode run" in ended.error()
    ended = cli("invite", "--home", tmp_path / "nothing")
    assert ended.code == ExitCode.NO_DAEMON
    assert "p2pnode init" in ended.error()


# ----------------------------------------------------------------------------- join, a new node


def test_join_makes_a_home_in_the_network_of_the_invitation(cli: Cli, tmp_path: Path) -> None:
    new = tmp_path / "new"
    ended = cli("join", code_for(), "--home", new)
    assert (ended.code, ended.err) == (0, "")
    home = open_home(new)
    assert home.secret == SECRET
    wanted = HomeSettings(network="family", profile="private", has_secret=True, bootstrap=full())
    assert home.settings == dataclasses.replace(wanted, quota_bytes=home.settings.quota_bytes)
    assert stat.S_IMODE((new / "network-secret").stat().st_mode) == 0o600
    text = ended.out.decode()
    assert f"p2pnode run --home {new}" in text
    assert "family, profile private, with a secret" in text
    assert without_secret(text + (new / "config.toml").read_text("utf-8"))


def test_join_takes_the_options_of_init(cli: Cli, tmp_path: Path) -> None:
    new = tmp_path / "new"
    options = ["--listen", "/ip4/1.1.1.1/tcp/1", "--announce", "/ip4/2.2.2.2/tcp/2", "--quota", "5GB", "--api", "a:1"]
    answer = cli("join", code_for(secret=None), "--home", new, *options, "--json").json()
    home = open_home(new)
    assert (home.settings.listen, home.settings.announce) == (("/ip4/1.1.1.1/tcp/1",), ("/ip4/2.2.2.2/tcp/2",))
    assert (home.settings.quota_bytes, home.settings.api, home.secret) == (5 * 10**9, "a:1", None)
    assert answer["has_secret"] is False
    assert (answer["network"], answer["profile"]) == ("family", "private")


def test_a_code_is_taken_with_white_space_and_capitals(cli: Cli, tmp_path: Path) -> None:
    code = code_for()
    wrapped = f"  {code[:60]}\n  {code[60:]}\t\n"
    for number, spelling in enumerate((wrapped, code.upper())):
        assert cli("join", spelling, "--home", tmp_path / str(number)).code == 0
        assert open_home(tmp_path / str(number)).secret == SECRET


def test_a_code_is_read_from_standard_input(cli: Cli, tmp_path: Path) -> None:
    ended = cli.process("join", "-", "--home", tmp_path / "new", "-q", given=f"\n{code_for()}\n".encode())
    assert (ended.code, ended.err) == (0, "")
    assert open_home(tmp_path / "new").secret == SECRET
    assert cli.process("join", "-", "--home", tmp_path / "other", given=b"\xff\xfe").code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("", "this is no invitation"),
        ("nonsense", "this is no invitation"),
        (code_for()[:-3], "copy the whole code"),
        (code_for()[:-1] + "7a", "copy"),
        (code_for(parameter_hash=bytes(8)), "install the version that its members use"),
        (code_for(profile="future", parameter_hash=bytes(8)), "install the version that its members use"),
        (code_for(network="no spaces", parameter_hash=bytes(8)), "a network's name"),
    ],
)
def test_a_code_that_cannot_be_used_makes_no_home(cli: Cli, tmp_path: Path, code: str, text: str) -> None:
    ended = cli("join", code, "--home", tmp_path / "new")
    assert ended.code == ExitCode.USAGE
    assert text in ended.error()
    assert without_secret(ended.err)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("options", [["--quota", "much"], ["--listen", "127.0.0.1:1"], ["--api", "nonsense"]])
def test_join_refuses_settings_that_make_no_sense(cli: Cli, tmp_path: Path, options: list[str]) -> None:
    assert cli("join", code_for(), "--home", tmp_path / "new", *options).code == ExitCode.USAGE
    assert not (tmp_path / "new").exists()


# ----------------------------------------------------------------------------- join, a node that exists


def test_joining_again_adds_the_addresses_and_changes_nothing_else(cli: Cli, tmp_path: Path) -> None:
    new = tmp_path / "new"
    assert cli("join", code_for(), "--home", new).code == 0
    with (new / "config.toml").open("a") as config:
        config.write("\n# my own words\n")
    (new / "config.toml").chmod(0o640)
    before = files_of(new)
    more = code_for(addresses=("/ip4/192.0.2.9/tcp/9", *ADDRESSES))
    ended = cli("join", more, "--home", new)
    assert ended.code == 0
    assert "already" in ended.out.decode()
    added = f"/ip4/192.0.2.9/tcp/9/p2p/{factories.peer_id()}"
    assert added in ended.out.decode()
    after = files_of(new)
    config_before = before.pop("config.toml").decode()
    assert after.pop("config.toml").decode() == config_before.replace("bootstrap = [", f'bootstrap = ["{added}", ')
    assert after == before
    assert open_home(new).settings.bootstrap == (added, *full())
    assert stat.S_IMODE((new / "config.toml").stat().st_mode) == 0o640


def test_joining_with_the_same_code_twice_says_that_there_is_nothing_to_add(cli: Cli, tmp_path: Path) -> None:
    new = tmp_path / "new"
    assert cli("join", code_for(), "--home", new).code == 0
    before = files_of(new)
    ended = cli("join", code_for(), "--home", new)
    assert ended.code == 0
    assert "nothing to add" in ended.out.decode()
    assert cli("join", code_for(), "--home", new, "--json").json()["added"] == []
    assert files_of(new) == before


def test_a_running_node_has_to_be_restarted_to_use_new_addresses(cli: Cli, private_home: Path) -> None:
    code = code_for(network="test", profile="testnet")
    with FakeDaemon(private_home):
        assert "restart the node" in cli("join", code, "--home", private_home).out.decode()


def test_a_nodes_own_addresses_are_never_its_bootstrap(cli: Cli, home: Path) -> None:
    own = cli("id", "--json").json()["peer_id"]
    member = InvitedMember.at(factories.peer_id(), ADDRESSES)
    settings = open_home(home).settings
    mine = dataclasses.replace(member, key=PublicKey(open_home(home).identity.public))
    code = Invitation(
        network=settings.network,
        profile=settings.profile,
        parameter_hash=hash_of(settings.network, settings.profile),
        secret=None,
        members=(mine, member),
    ).text()
    assert cli("join", code).code == 0
    assert open_home(home).settings.bootstrap == full()
    assert str(own) not in (home / "config.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (code_for(network="other"), "network family with profile private, the invitation is for network other"),
        (code_for(profile="testnet"), "the invitation is for network family with profile testnet"),
        (code_for(secret=NetworkSecret(bytes(SECRET_BYTES))), "with another secret, or without one"),
        (code_for(secret=None), "with another secret, or without one"),
    ],
)
def test_a_home_of_another_network_is_left_alone(cli: Cli, tmp_path: Path, code: str, text: str) -> None:
    new = tmp_path / "new"
    assert cli("join", code_for(), "--home", new).code == 0
    before = files_of(new)
    ended = cli("join", code, "--home", new)
    assert ended.code == ExitCode.ERROR
    assert text in ended.error()
    assert "--home" in ended.error()
    assert files_of(new) == before


def test_options_for_a_new_node_are_refused_for_one_that_exists(cli: Cli, tmp_path: Path) -> None:
    new = tmp_path / "new"
    assert cli("join", code_for(), "--home", new).code == 0
    ended = cli("join", code_for(), "--home", new, "--quota", "5GB")
    assert ended.code == ExitCode.USAGE
    assert "--home" in ended.error()
