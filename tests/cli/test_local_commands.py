"""`init`, `id` and `blob-id`: what needs no daemon."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from crypto.peer_id import peer_id_of, peer_id_to_text
from p2pnode.cli import new_home
from p2pnode.cli.disk import Disk
from p2pnode.cli.init import ProfileName
from p2pnode.coding import blob_bytes_max, blob_id
from p2pnode.config import PROFILES
from p2pnode.storage.home import open_home
from tests.cli.conftest import Cli
from tests.cli.fake_daemon import FakeDaemon


def own_peer_id(home: Path) -> str:
    return peer_id_to_text(peer_id_of(open_home(home).identity.public))


def test_init_makes_a_home_with_these_settings(cli: Cli, tmp_path: Path) -> None:
    new = tmp_path / "new"
    ended = cli(
        *(
            "init",
            "--home",
            new,
            "--profile",
            "testnet",
            "--network",
            "lab",
            "--quota",
            "100GB",
            "--api",
            "localhost:80",
        ),
        *("--listen", "/ip4/1.1.1.1/tcp/1", "--listen", "/ip4/2.2.2.2/tcp/2"),
        *("--announce", "/ip4/3.3.3.3/tcp/3", "--bootstrap", "/ip4/4.4.4.4/tcp/4/p2p/x", "--json"),
    )
    assert (ended.code, ended.err) == (0, "")
    assert ended.json() == {
        "peer_id": own_peer_id(new),
        "home": str(new),
        "network": "lab",
        "profile": "testnet",
        "has_secret": False,
    }
    settings = open_home(new).settings
    assert (settings.network, settings.profile, settings.api) == ("lab", "testnet", "localhost:80")
    assert settings.listen == ("/ip4/1.1.1.1/tcp/1", "/ip4/2.2.2.2/tcp/2")
    assert settings.announce == ("/ip4/3.3.3.3/tcp/3",)
    assert settings.bootstrap == ("/ip4/4.4.4.4/tcp/4/p2p/x",)
    assert settings.quota_bytes == 100 * 10**9
    assert stat.S_IMODE((new / "identity.key").stat().st_mode) == 0o600


def test_init_says_who_it_is_where_it_is_and_what_comes_next(cli: Cli, tmp_path: Path) -> None:
    ended = cli("init", "--home", tmp_path / "new")
    text = ended.out.decode()
    assert own_peer_id(tmp_path / "new") in text
    assert str(tmp_path / "new") in text
    assert "p2pnode run" in text
    assert "profile home" in text
    ended = cli("init", "-q", "--home", tmp_path / "newer")
    assert ended.out.decode() == own_peer_id(tmp_path / "newer") + "\n"


def test_init_never_overwrites(cli: Cli, home: Path) -> None:
    before = {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}
    ended = cli("init")
    assert ended.code == 1
    assert "not overwritten" in ended.error()
    assert {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--profile", "nonsense"], "testnet"),
        (["--network", "no spaces"], "network"),
        (["--listen", "127.0.0.1:80"], "multiaddr"),
        (["--quota", "much"], "100GB"),
        (["--quota", "5iB"], "100GB"),
        (["--quota", "-5"], "100GB"),
        (["--api", "nonsense"], "host:port"),
    ],
)
def test_init_refuses_settings_that_make_no_sense(cli: Cli, tmp_path: Path, arguments: list[str], text: str) -> None:
    ended = cli("init", "--home", tmp_path / "new", *arguments)
    assert ended.code == 2
    assert text in ended.error()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("5000", 5000),
        ("7 B", 7),
        ("1kB", 1000),
        ("1.5 GB", 1_500_000_000),
        ("2GiB", 2 << 30),
        ("3T", 3 * 10**12),
    ],
)
def test_init_reads_sizes(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, count: int) -> None:
    monkeypatch.setattr(new_home, "disk_under", lambda _: Disk(10**13, 10**12))
    assert cli("init", "--home", tmp_path / "new", "--quota", text).code == 0
    assert open_home(tmp_path / "new").settings.quota_bytes == count


def test_a_new_node_offers_a_tenth_of_what_is_free(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_home, "disk_under", lambda _: Disk(10**13, 123 * 10**9))
    assert "12.0 GB" in cli("init", "--home", tmp_path / "new").out.decode()
    assert open_home(tmp_path / "new").settings.quota_bytes == 12 * 10**9


def test_more_than_the_disk_is_not_offered(cli: Cli, tmp_path: Path) -> None:
    ended = cli("init", "--home", tmp_path / "deep" / "new", "--quota", "9000PB")
    assert ended.code == 2
    assert "the whole disk has only" in ended.error()
    assert not (tmp_path / "deep").exists()


def test_init_offers_every_profile() -> None:
    assert {profile.value for profile in ProfileName} == set(PROFILES)


def test_id_without_a_daemon_prints_the_peer_id(cli: Cli, home: Path) -> None:
    ended = cli("id")
    assert (ended.code, ended.out.decode()) == (0, own_peer_id(home) + "\n")
    assert "p2pnode run" in ended.err
    assert cli("id", "--json").json() == {
        "peer_id": own_peer_id(home),
        "home": str(home),
        "running": False,
        "addresses": [],
    }


def test_id_with_a_daemon_prints_full_addresses(cli: Cli, home: Path, daemon: FakeDaemon) -> None:
    address = f"/ip4/127.0.0.1/tcp/4710/p2p/{own_peer_id(home)}"
    ended = cli("id")
    assert (ended.code, ended.out.decode().split(), ended.err) == (0, [own_peer_id(home), address], "")
    answer = cli("id", "--json").json()
    assert (answer["running"], answer["addresses"]) == (True, [address])
    assert daemon.node.asked == []


def test_id_without_a_home_is_one_line(cli: Cli, tmp_path: Path) -> None:
    ended = cli("id", "--home", tmp_path / "nothing")
    assert ended.code == 1
    assert "p2pnode init" in ended.error()


@pytest.mark.parametrize("n", [4, 10, 100])
def test_blob_id_is_that_of_the_code(cli: Cli, tmp_path: Path, n: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    expected = blob_id(b"content", n).text()
    ended = cli("blob-id", path, "--shards", str(n))
    assert (ended.code, ended.out.decode(), ended.err) == (0, expected + "\n", "")
    assert cli("blob-id", path, "--shards", str(n), "--json").json() == {"id": expected, "size": 7, "n": n}


def test_blob_id_reads_stdin(cli: Cli) -> None:
    assert cli.process("blob-id", "-", "--shards", "4", given=b"x").out.decode().strip() == blob_id(b"x", 4).text()


def test_blob_id_of_a_file_above_the_limit_of_n_is_a_usage_error(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(blob_bytes_max(4)))
    assert cli("blob-id", path, "--shards", "4").code == 0
    with path.open("ab") as file:
        file.write(b"x")
    ended = cli("blob-id", path, "--shards", "4")
    assert ended.code == 2
    assert str(blob_bytes_max(4)) in ended.error()
    assert cli("blob-id", path, "--shards", "7").code == 0
    assert cli.process("blob-id", "-", "--shards", "4", given=path.read_bytes()).code == 2


@pytest.mark.parametrize("arguments", [[], ["--shards", "3"], ["--shards", "1001"], ["--shards", "x"]])
def test_blob_id_needs_a_number_of_shards(cli: Cli, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "file").touch()
    ended = cli("blob-id", tmp_path / "file", *arguments)
    assert ended.code == 2
    assert "--shards" in ended.error()


def test_an_error_in_json_is_an_object_on_stderr(cli: Cli, tmp_path: Path) -> None:
    ended = cli("blob-id", tmp_path / "missing", "--shards", "4", "--json")
    assert json.loads(ended.err)["error"]["exit_code"] == 1
