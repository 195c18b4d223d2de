"""Records of identities go when their time is over, and somebody can see that they went."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from algorithms.contract.case import Home
from algorithms.contract.errors import DataError
from algorithms.contract.identity import Identity, is_remembered, recall, record_of, remember
from edge.audit import audit_path, broken
from edge.identities import destroy_outlived
from tests.edge.appliances import running, site, until

SOMEBODY = Identity({"PatientName": "Muster^Max"}, {"2.25.7": "1.2.3"})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home that knows two studies, a new one and one of 100 days."""
    found = Home(tmp_path / "home")
    for number in (1, 2):
        remember(found, record_of(found, f"2.25.{number}"), SOMEBODY)
    before = time.time() - 100 * 86400
    os.utime(found.vault / "identities" / record_of(found, "2.25.1"), (before, before))
    return found


def test_what_is_too_old_is_destroyed_with_a_line_in_the_audit(home: Home) -> None:
    """The line names the record and no person; a backup of the record cannot be read any more."""
    old, new = record_of(home, "2.25.1"), record_of(home, "2.25.2")
    backup = (home.vault / "identities" / old).read_bytes()

    assert (1, 0) == (destroy_outlived(home, 99, time.time()), destroy_outlived(home, 99, time.time()))
    assert SOMEBODY == recall(home, new)
    (home.vault / "identities" / old).write_bytes(backup)
    with pytest.raises(DataError, match="shredded"):
        recall(home, old)
    (line,) = audit_path(home).read_text().splitlines()
    assert ("destroy identity", old) == (json.loads(line)["action"], json.loads(line)["case_id"])
    assert broken(home) is None


def test_without_an_audit_nothing_is_destroyed(home: Home) -> None:
    """A folder stands where the file should be; the appliance goes on, and the record waits."""
    audit_path(home).mkdir()

    assert 0 == destroy_outlived(home, 99, time.time())
    assert is_remembered(home, record_of(home, "2.25.1"))


def test_the_appliance_destroys_what_is_too_old_when_it_starts(tmp_path: Path) -> None:
    """By the time of its configuration."""
    at = site(tmp_path, keep_identity_days=99)
    home = Home(at.config.home)
    remember(home, "a" * 16, SOMEBODY)
    os.utime(home.vault / "identities" / ("a" * 16), (0, 0))

    with running(at):
        until(lambda: not is_remembered(home, "a" * 16))
    assert "destroy identity" in audit_path(home).read_text()
