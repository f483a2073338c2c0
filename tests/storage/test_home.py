"""A node's home: made once, opened with clear words when something is wrong, used by one daemon at a time."""

from __future__ import annotations

import dataclasses
import errno
import os
import random
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnode.errors import HomeError, HomeInUseError
from p2pnode.storage.files import DiskFiles
from p2pnode.storage.home import (
    DaemonInfo,
    Home,
    HomeSettings,
    add_bootstrap,
    create_home,
    is_home,
    lock_home,
    open_home,
    read_daemon_info,
    remove_daemon_info,
    write_daemon_info,
)
from p2pnode.storage.settings import settings_from_text, settings_to_text, with_bootstrap
from testnet.sim.rng import SimRng
from wire.network_secret import SECRET_BYTES, NetworkSecret

SETTINGS = HomeSettings(
    network="test-net.1",
    profile="testnet",
    listen=("/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"),
    announce=("/dns4/node.example/tcp/4710",),
    bootstrap=("/ip4/192.0.2.7/tcp/4710/p2p/12D3KooW",),
    quota_bytes=123_456,
    api="[::1]:8080",
)


@pytest.fixture
def home(tmp_path: Path, rng: random.Random) -> Path:
    """The path of a new home."""
    return create_home(tmp_path / "home", settings=SETTINGS, rng=SimRng(rng)).path


def private_home(tmp_path: Path, rng: random.Random) -> Home:
    """Make the home of a node in a network with a secret."""
    settings = dataclasses.replace(SETTINGS, has_secret=True)
    return create_home(
        tmp_path / "private", settings=settings, rng=SimRng(rng), secret=NetworkSecret(rng.randbytes(SECRET_BYTES))
    )


def test_what_was_made_is_what_is_opened(tmp_path: Path, rng: random.Random) -> None:
    made = create_home(tmp_path / "new" / "home", settings=SETTINGS, rng=SimRng(rng))
    opened = open_home(made.path)
    assert opened == made
    assert opened.settings == SETTINGS
    assert opened.identity.public != opened.owner.public
    assert len(opened.api_token) == 64
    assert opened.data_path.is_dir()
    assert opened.secret is None


def test_a_home_with_a_secret_keeps_it_in_a_file_of_its_own(tmp_path: Path, rng: random.Random) -> None:
    made = private_home(tmp_path, rng)
    assert open_home(made.path) == made
    assert made.secret is not None
    assert stat.S_IMODE((made.path / "network-secret").stat().st_mode) == 0o600
    word = made.secret.file_text().split()[1]
    holders = [path.name for path in made.path.iterdir() if path.is_file() and word in path.read_text("utf-8")]
    assert holders == ["network-secret"]
    assert made.secret.hex()[:12] not in repr(made)


def test_a_node_whose_secret_was_lost_does_not_start_open(tmp_path: Path, rng: random.Random) -> None:
    home = private_home(tmp_path, rng).path
    (home / "network-secret").unlink()
    with pytest.raises(HomeError, match="network-secret is missing: restore it"):
        open_home(home)


def test_a_secret_that_the_settings_do_not_know_of_is_not_passed_over(tmp_path: Path, rng: random.Random) -> None:
    home = private_home(tmp_path, rng).path
    config = home / "config.toml"
    config.write_text(config.read_text().replace("has_secret = true", "has_secret = false"))
    with pytest.raises(HomeError, match=r"network-secret is there, but config\.toml says has_secret = false"):
        open_home(home)


def test_a_secret_comes_with_settings_that_tell_of_it(tmp_path: Path, rng: random.Random) -> None:
    with pytest.raises(AssertionError, match="go together"):
        create_home(tmp_path / "home", settings=SETTINGS, rng=SimRng(rng), secret=NetworkSecret(bytes(SECRET_BYTES)))
    assert not is_home(tmp_path / "home")


@pytest.mark.parametrize("content", [b"", b"p2pnode-network-secret-v1 AAAA\n", b"hello\n"])
def test_a_damaged_secret_is_named_and_not_repeated(tmp_path: Path, rng: random.Random, content: bytes) -> None:
    home = private_home(tmp_path, rng).path
    (home / "network-secret").write_bytes(content)
    with pytest.raises(HomeError, match=r"network-secret: expected one line: .*; restore the file") as caught:
        open_home(home)
    assert "AAAA" not in str(caught.value)


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, rng: random.Random) -> None:
    home = private_home(tmp_path, rng).path
    (home / "network-secret").chmod(0o644)
    with pytest.raises(HomeError, match=r"chmod 600 .*network-secret"):
        open_home(home)


def test_new_addresses_are_added_and_nothing_else_changes(home: Path) -> None:
    config = home / "config.toml"
    before = config.read_text("utf-8")
    new = ("/ip4/192.0.2.8/tcp/1/p2p/x", SETTINGS.bootstrap[0], "/ip4/192.0.2.9/tcp/1/p2p/y")
    added = add_bootstrap(open_home(home), new)
    assert added == (new[0], new[2])
    assert config.read_text("utf-8") == before.replace("bootstrap = [", f'bootstrap = ["{new[0]}", "{new[2]}", ')
    assert add_bootstrap(open_home(home), new) == ()
    assert sorted(path.name for path in home.iterdir()) == [
        "api-token",
        "config.toml",
        "data",
        "identity.key",
        "owner.key",
    ]


def test_a_full_disk_leaves_the_settings_as_they_were(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_new(_self: DiskFiles, _name: str, _data: Sequence[bytes], *, mode: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), mode)

    before = (home / "config.toml").read_bytes()
    monkeypatch.setattr(DiskFiles, "write_new", write_new)
    with pytest.raises(HomeError, match=r"cannot write .*config\.toml: No space left"):
        add_bootstrap(open_home(home), ["/ip4/192.0.2.8/tcp/1/p2p/x"])
    assert (home / "config.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "bootstrap = ['/new']"),
        ("network = 'n'", "network = 'n'\nbootstrap = ['/new']"),
        ("bootstrap = []", "bootstrap = ['/new']"),
        ("bootstrap=[ '/a' ] # mine", "bootstrap=['/new', '/a'] # mine"),
        ("'bootstrap' = [ # mine\n  '/a', # his\n]\nnetwork = 'n'", "bootstrap = ['/new', '/a']\nnetwork = 'n'"),
    ],
)
def test_addresses_are_added_however_the_user_wrote_the_list(text: str, expected: str) -> None:
    new = with_bootstrap(text, ["/new"], where="config.toml")
    assert settings_from_text(new, where="new") == settings_from_text(expected, where="expected")
    assert all(comment in new for comment in ("# mine", "# his") if comment in text)


def test_a_file_that_cannot_be_added_to_says_what_to_add_by_hand() -> None:
    text = '"boot\\u0073trap" = ["/a"]'
    with pytest.raises(HomeError, match=r'config\.toml: cannot add to bootstrap here; add these by hand: "/new"'):
        with_bootstrap(text, ["/new"], where="config.toml")


def test_secrets_are_for_their_owner_only(home: Path) -> None:
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("identity.key", "owner.key", "api-token"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["identity.key", "owner.key", "config.toml", "api-token"])
def test_a_home_is_never_overwritten_not_even_a_part_of_one(tmp_path: Path, rng: random.Random, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(HomeError, match=f"already has {name}, and it is not overwritten"):
        create_home(tmp_path, settings=SETTINGS, rng=SimRng(rng))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"precious"


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_full_disk_leaves_no_half_home(
    tmp_path: Path, rng: random.Random, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    real = DiskFiles.write_new
    calls = []

    def write_new(self: DiskFiles, name: str, data: Sequence[bytes | memoryview], *, mode: int = 0o600) -> None:
        real(self, name, data, mode=mode)
        calls.append(name)
        if len(calls) == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(DiskFiles, "write_new", write_new)
        with pytest.raises(HomeError, match="No space left"):
            create_home(tmp_path / "home", settings=SETTINGS, rng=SimRng(rng))
    create_home(tmp_path / "home", settings=SETTINGS, rng=SimRng(rng))


def test_no_home_says_what_to_do(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(HomeError, match="run 'p2pnode init' first"):
            open_home(path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("identity.key", None, r"identity\.key is missing: restore it"),
        ("identity.key", b"", r"identity\.key: not a p2pnode key file: expected one line"),
        ("owner.key", b"p2pnode-key-v1 owner !!!!\n", r"owner\.key: the seed in the key file is not .*base64"),
        ("owner.key", b"p2pnode-key-v1 owner AAAA\n", r"owner\.key: .* 32 bytes"),
        ("identity.key", b"\xff\xfe", r"identity\.key, line 1: not UTF-8"),
        ("identity.key", bytes(100_000), r"identity\.key is longer than 65536 bytes"),
        ("api-token", None, r"api-token is missing"),
        ("api-token", b"\n", r"api-token: expected one line of letters and digits"),
        ("config.toml", None, r"config\.toml is missing"),
        ("config.toml", b'a = "b\n', r"config\.toml is not valid TOML: .*line 1"),
        ("config.toml", b"quota_bytes = " + b"9" * 5000, r"config\.toml is not valid TOML: .*integer"),
        ("config.toml", b"listen = " + b"[" * 5000, r"config\.toml is not valid TOML: .*recursion"),
        (
            "config.toml",
            b"quota_bytes = 0x" + b"f" * 5000,
            r"line 1: quota_bytes = a number of thousands of digits: exp",
        ),
        (
            "config.toml",
            b"network = [0x" + b"f" * 5000 + b"]",
            r"line 1: network = a number of thousands of digits: exp",
        ),
        ("config.toml", b"network = ['" + b"f" * 5000 + b"']", r"line 1: network = \['f{198}\.\.: expected a text"),
        (
            "config.toml",
            b"# x\n\nnetwork = 'a b'\n",
            r"config\.toml, line 3: network = 'a b': expected 1 to 64 letters",
        ),
        ("config.toml", b"\n[colour]\nx = 1\n", r"config\.toml, line 2: unknown setting 'colour'; known are network"),
        ("config.toml", b"nettwork = 'x'", r"config\.toml, line 1: unknown setting 'nettwork'"),
        ("config.toml", b"quota_bytes = '1'", r"line 1: quota_bytes = '1': expected a whole number"),
        ("config.toml", b"quota_bytes = true", "expected a whole number"),
        ("config.toml", b"quota_bytes = -1", "expected 0 or a positive"),
        ("config.toml", b"has_secret = 1", "line 1: has_secret = 1: expected true or false"),
        ("config.toml", b"network = 1", "expected a text in quotes"),
        ("config.toml", b"listen = '/ip4'", "expected a list of texts"),
        ("config.toml", b"listen = [1]", "expected a list of texts"),
        ("config.toml", b"listen = []", "expected at least one multiaddr"),
        ("config.toml", b"bootstrap = ['example.org:1']", r"bootstrap = 'example\.org:1': expected a multiaddr"),
        ("config.toml", b"profile = 'big'", "expected one of public, home, private, testnet"),
        ("config.toml", b"api = '127.0.0.1'", "expected host:port"),
        ("config.toml", b"api = '127.0.0.1:65536'", "expected host:port"),
        ("config.toml", b"\n\n\xff", r"config\.toml, line 3: not UTF-8"),
    ],
)
def test_a_damaged_file_is_named_with_what_was_expected(
    home: Path, name: str, content: bytes | None, expected: str
) -> None:
    if content is None:
        (home / name).unlink()
    else:
        (home / name).write_bytes(content)
    with pytest.raises(HomeError, match=expected):
        open_home(home)


def test_the_keys_of_a_home_are_not_mixed_up(home: Path) -> None:
    (home / "identity.key").write_bytes((home / "owner.key").read_bytes())
    with pytest.raises(HomeError, match=r"identity\.key: this key file is not for 'identity'; restore"):
        open_home(home)


@pytest.mark.parametrize("name", ["identity.key", "owner.key", "api-token"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_secrets_that_others_can_reach_are_refused(home: Path, name: str, mode: int) -> None:
    (home / name).chmod(mode)
    with pytest.raises(HomeError, match=f"chmod 600 .*{name}"):
        open_home(home)


def test_settings_left_out_have_their_defaults() -> None:
    assert settings_from_text("", where="config.toml") == HomeSettings()
    assert settings_from_text("network = 'n'", where="config.toml") == HomeSettings(network="n")


def test_every_setting_is_written_with_a_comment_and_read_again() -> None:
    text = settings_to_text(SETTINGS)
    assert settings_from_text(text, where="config.toml") == SETTINGS
    assert text.count("# ") == len(dataclasses.fields(HomeSettings))


@given(
    st.text("abcXYZ019-.", min_size=1, max_size=64),
    st.lists(
        st.text(st.characters(exclude_categories=["C", "Z"]), max_size=30).map(lambda text: "/" + text), min_size=1
    ),
)
def test_settings_of_any_text_are_read_as_they_were_written(network: str, listen: list[str]) -> None:
    settings = HomeSettings(network=network, listen=tuple(listen))
    assert settings_from_text(settings_to_text(settings), where="config.toml") == settings


@pytest.mark.parametrize("network", ["", "a" * 65, "a b", "a/b", "ä", "a_b", "a\n"])
def test_a_network_name_has_letters_digits_dashes_and_dots_only(network: str) -> None:
    with pytest.raises(HomeError, match="network = "):
        HomeSettings(network=network)


def test_one_daemon_at_a_time(home: Path) -> None:
    with lock_home(home):
        with pytest.raises(HomeInUseError, match=rf"another daemon \(pid {os.getpid()}\) runs on"), lock_home(home):
            pass
        with pytest.raises(HomeInUseError), lock_home(home):  # The refused one did not take the lock along.
            pass
    with lock_home(home):
        pass


def test_the_lock_of_a_killed_daemon_is_free(home: Path) -> None:
    code = (
        "import sys, pathlib, time\nfrom p2pnode.storage.home import lock_home\n"
        "with lock_home(pathlib.Path(sys.argv[1])):\n    print('locked', flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"locked\n"
        with pytest.raises(HomeInUseError, match=f"pid {daemon.pid}"), lock_home(home):
            pass
        daemon.send_signal(signal.SIGKILL)
        daemon.wait(timeout=30)
    with lock_home(home):
        pass


def test_a_home_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="cannot open"), lock_home(tmp_path / "nowhere"):
        pass


def test_daemon_info_is_written_read_replaced_and_removed(home: Path) -> None:
    info = DaemonInfo(pid=1, peer_id="12D3", addresses=("/ip4/127.0.0.1/tcp/1",), api="http://127.0.0.1:1", started=1.5)
    assert read_daemon_info(home) is None
    for each in (info, dataclasses.replace(info, pid=2)):
        write_daemon_info(home, each)
        assert read_daemon_info(home) == each
    (home / "daemon.json.tmp").write_bytes(b"left by a crash")
    write_daemon_info(home, info)
    assert read_daemon_info(home) == info
    remove_daemon_info(home)
    remove_daemon_info(home)
    assert read_daemon_info(home) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"pid": "x"}',
        b"\xff",
        b"null",
        b"[" * 10_000,
        b'{"pid": Infinity}',
        b'{"pid": 1e999}',
    ],
    ids=range(10),
)
def test_unreadable_daemon_info_counts_as_none(home: Path, content: bytes) -> None:
    (home / "daemon.json").write_bytes(content)
    assert read_daemon_info(home) is None


def test_daemon_info_that_cannot_be_written_is_told(home: Path) -> None:
    (home / "daemon.json").mkdir()
    info = DaemonInfo(pid=1, peer_id="", addresses=(), api="", started=0)
    with pytest.raises(HomeError, match="cannot write"):
        write_daemon_info(home, info)
