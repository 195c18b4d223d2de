"""Only the recipient opens an envelope, and the same key goes into the same one."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from algorithms.contract.envelope import ENVELOPE, public_key, seal, unseal
from algorithms.contract.errors import DataError

PROJECT = Path(__file__).resolve().parents[3]
KEY = bytes(range(32))


def test_the_recipient_gets_the_key_and_nobody_else(tmp_path: Path) -> None:
    """Another private key, or one changed digit, opens nothing."""
    envelope = seal(KEY, public_key(tmp_path / "mine"))
    public_key(tmp_path / "theirs")

    assert ENVELOPE.fullmatch(envelope)
    assert KEY == unseal(envelope, tmp_path / "mine")
    assert envelope == seal(KEY, public_key(tmp_path / "mine"))
    for changed, key_file in ((envelope, "theirs"), (f"{envelope[:-1]}{int(envelope[-1], 16) ^ 1:x}", "mine")):
        with pytest.raises(DataError, match="another recipient"):
            unseal(changed, tmp_path / key_file)


def test_two_keys_and_two_recipients_have_nothing_in_common(tmp_path: Path) -> None:
    """The ephemeral key comes from both, so that no nonce is used twice under one key."""
    first, second = public_key(tmp_path / "a"), public_key(tmp_path / "b")
    halves = [seal(key, recipient)[:64] for key in (KEY, KEY[::-1]) for recipient in (first, second)]

    assert 4 == len(set(halves))


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no private key"), ("abc\n", "does not hold 64")], ids=["absent", "damaged"]
)
def test_without_a_private_key_a_sentence_says_what_to_do(tmp_path: Path, content: str | None, message: str) -> None:
    """An operator named the wrong file."""
    if content is not None:
        (tmp_path / "key").write_text(content)

    with pytest.raises(DataError, match=message):
        unseal("00" * 80, tmp_path / "key")


def test_the_command_makes_the_key_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """It prints what senders are given."""
    command = [sys.executable, "-m", "algorithms.contract.envelope", str(tmp_path / "vault" / "intake")]

    first, second = (subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout for _ in range(2))

    assert first == second == public_key(tmp_path / "vault" / "intake") + "\n"
    assert 0o600 == stat.S_IMODE((tmp_path / "vault" / "intake").stat().st_mode)
