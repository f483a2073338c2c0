"""Claims about changes of `config.toml`: one setting is another, and whatever else the user wrote there stays."""

from __future__ import annotations

import pytest

from p2pnode.errors import HomeError
from p2pnode.storage.settings import with_quota

COMMENT = "# How many bytes this node's data may take on its disks together."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("network = 'n'", f"network = 'n'\n\n{COMMENT}\nquota_bytes = 7\n"),
        ("quota_bytes = 5", "quota_bytes = 7"),
        ("'quota_bytes'=1_000 # mine\nnetwork = 'n'", "'quota_bytes'=7 # mine\nnetwork = 'n'"),
        ("# quota_bytes = 5\n  quota_bytes =\t0xFF", "# quota_bytes = 5\n  quota_bytes =\t7"),
    ],
)
def test_another_quota_changes_nothing_else_however_the_user_wrote_it(text: str, expected: str) -> None:
    assert with_quota(text, 7, where="config.toml") == expected


def test_a_quota_that_cannot_be_changed_says_what_to_write_by_hand() -> None:
    with pytest.raises(HomeError, match=r"config\.toml: cannot change it here; write by hand: 7"):
        with_quota('"quota\\u005fbytes" = 5', 7, where="config.toml")


def test_a_file_with_errors_is_not_changed_but_told_of() -> None:
    with pytest.raises(HomeError, match=r"config\.toml, line 1: quota_bytes = 'x': expected a whole number"):
        with_quota("quota_bytes = 'x'", 7, where="config.toml")
