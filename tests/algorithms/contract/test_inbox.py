"""The door: what becomes a case, what does not, and what is dropped on the way."""

from __future__ import annotations

import json
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from algorithms.contract import inbox
from algorithms.contract.case import Case, Home
from algorithms.contract.errors import DataError
from algorithms.contract.inbox import admit


def study(folder: Path, files: dict[str, bytes]) -> Path:
    """Return ``folder`` with these files in it."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


FILES = {"Muster^Max/1.dcm": b"one", "Muster^Max/2.dcm": b"two", "again.dcm": b"one"}


def test_names_of_files_and_folders_are_dropped_at_the_door(tmp_path):
    """They hold names of people more often than not; duplicates are kept for the receive stage to judge."""
    home = Home(tmp_path / "home")

    case = admit(study(tmp_path / "in", FILES), "toy", home)

    kept = sorted(case.input_path("study", home).iterdir())
    assert [p.name for p in kept] == ["000001", "000002", "000003"]
    assert sorted(p.read_bytes() for p in kept) == [b"one", b"one", b"two"]
    assert "Muster" not in (case.folder / "case.json").read_text()


def test_a_folder_a_renamed_folder_and_a_zip_are_one_case(tmp_path):
    """Delivery is at least once; equal content must end in exactly one case."""
    home = Home(tmp_path / "home")
    folder = study(tmp_path / "in", FILES)
    other = study(tmp_path / "other", {"x": b"two", "y": b"one", "z": b"one"})
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in sorted(folder.rglob("*.dcm")):
            archive.write(path)

    cases = [admit(source, "toy", home) for source in (folder, other, tmp_path / "study.zip", folder)]

    assert [cases[0]] * 4 == cases
    assert len(list(home.cases.iterdir())) == 1
    assert [cases[0].case_id] == [p.name for p in home.inbox.iterdir()]


def test_a_case_carries_its_region_and_its_site(tmp_path):
    """Codes that were assigned, and the same ones when the case is read again."""
    case = admit(study(tmp_path / "in", FILES), "toy", Home(tmp_path / "home"), region="eu-central-1", site="s-017")

    assert (case.region, case.site) == ("eu-central-1", "s-017")
    assert Case.read(case.folder) == case


def test_a_case_from_before_there_were_regions_is_read(tmp_path):
    """It counts as local, as do a home and a deployment where nobody said otherwise."""
    case = admit(study(tmp_path / "in", FILES), "toy", Home(tmp_path / "home"))
    path = case.folder / "case.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({name: document[name] for name in ("case_id", "pipeline", "inputs")}))

    assert Case.read(case.folder) == case
    assert (case.region, case.site) == ("local", "local")


@pytest.mark.parametrize("first", ["eu-central-1", None])
def test_a_home_takes_no_case_of_another_region(tmp_path, first):
    """Its first case settles where it is; of one that is refused nothing stays."""
    home = Home(tmp_path / "home")
    admit(study(tmp_path / "a", {"x": b"1"}), "toy", home, region=first)
    before = sorted(home.root.rglob("*"))

    with pytest.raises(DataError, match="send it to its own region"):
        admit(study(tmp_path / "b", {"x": b"2"}), "toy", home, region="us-east-1")
    assert sorted(home.root.rglob("*")) == before
    assert admit(study(tmp_path / "b", {}), "toy", home).region == (first or "local")


@pytest.mark.parametrize("code", ["Sankt Anna", "eu_central", "", "a" * 33, "über"])
def test_a_site_is_a_code(tmp_path, code):
    """A hospital's name has capitals or blanks; the message does not repeat it."""
    with pytest.raises(DataError, match="assigned ones") as caught:
        admit(study(tmp_path / "in", FILES), "toy", Home(tmp_path / "home"), site=code)
    assert not code or code not in str(caught.value)


def test_what_two_sites_send_is_two_cases(tmp_path):
    """A site sees its own cases only, so neither may find that the other one sent the same."""
    home, folder = Home(tmp_path / "home"), study(tmp_path / "in", FILES)

    cases = [admit(folder, "toy", home, site=site) for site in ("north", "south", "north")]

    assert cases[0] == cases[2]
    assert cases[0].case_id != cases[1].case_id


def test_the_case_id_depends_on_the_content_the_pipeline_and_the_key(tmp_path):
    """Two homes with different keys cannot be joined by case id."""
    folder = study(tmp_path / "in", FILES)

    ids = {
        admit(folder, "toy", Home(tmp_path / "a")).case_id,
        admit(folder, "toy", Home(tmp_path / "b")).case_id,
        admit(folder, "other", Home(tmp_path / "a")).case_id,
        admit(study(tmp_path / "in2", {"x": b"three"}), "toy", Home(tmp_path / "a")).case_id,
    }

    assert len(ids) == 4


def test_an_empty_folder_becomes_a_case_that_the_first_stage_refuses(tmp_path):
    """A report is always written, also for nothing."""
    (tmp_path / "empty").mkdir()

    case = admit(tmp_path / "empty", "toy", Home(tmp_path / "home"))

    assert Case.read(case.folder) == case


def test_a_case_folder_holds_one_examination(tmp_path):
    """Naming a used folder for other content would mix two patients."""
    home = Home(tmp_path / "home")
    admit(study(tmp_path / "a", {"x": b"1"}), "toy", home, tmp_path / "case")

    with pytest.raises(DataError, match="already holds another examination"):
        admit(study(tmp_path / "b", {"x": b"2"}), "toy", home, tmp_path / "case")


def test_links_are_not_followed(tmp_path):
    """A link in a received folder could name any file of this machine."""
    home = Home(tmp_path / "home")
    folder = study(tmp_path / "in", {"x": b"1"})
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "loop").symlink_to(folder)

    case = admit(folder, "toy", home)

    assert len(list(case.input_path("study", home).iterdir())) == 1


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [("MAX_FILES", 2, "more than 2 files"), ("MAX_BYTES", 4, "send one examination only")],
)
def test_too_much_is_refused_and_leaves_nothing(tmp_path, monkeypatch, limit, value, message):
    """A zip bomb must be stopped before the disk is full, and its debris removed."""
    monkeypatch.setattr(inbox, limit, value)
    home = Home(tmp_path / "home")

    with pytest.raises(DataError, match=message):
        admit(study(tmp_path / "in", FILES), "toy", home)

    assert not list(home.inbox.iterdir())


def test_a_damaged_zip_is_told_in_a_sentence(tmp_path):
    """The end record is whole, the content is not."""
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one", b"1234567890" * 100)
    broken = bytearray((tmp_path / "study.zip").read_bytes())
    broken[35:45] = b"\xff" * 10
    (tmp_path / "study.zip").write_bytes(broken)

    with pytest.raises(DataError, match="damaged"):
        admit(tmp_path / "study.zip", "toy", Home(tmp_path / "home"))


def zipped(path: Path, entries: dict[str, bytes], **entry: int) -> Path:
    """Return a zip file with these entries, each of whose records has the given fields."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for field, value in entry.items():
                setattr(info, field, value)
            archive.writestr(info, content)
    return path


@pytest.mark.parametrize(
    "name", ["../../Muster^Max", "/etc/Muster^Max", "C:\\Muster^Max", "..\\..\\Muster^Max", "a/" * 200 + "Muster^Max", "CON"]
)
def test_no_name_in_a_zip_leads_anywhere(tmp_path, name):
    """Zip slip: entries that climb out, absolute ones, folders without end; the content is taken, the name is not."""
    home = Home(tmp_path / "home")
    before = set(tmp_path.rglob("*"))

    case = admit(zipped(tmp_path / "study.zip", {name: b"one"}), "toy", home)

    kept = [p for p in set(tmp_path.rglob("*")) - before if p.is_file() and p.read_bytes() == b"one"]
    assert [case.input_path("study", home) / "000001"] == kept
    assert not [path for path in tmp_path.rglob("*") if "Muster" in path.name]


def test_links_in_a_zip_are_left_out(tmp_path):
    """As in a folder: what such an entry holds is the name of a file and no image."""
    home = Home(tmp_path / "home")
    archive = zipped(
        tmp_path / "study.zip", {"link": b"/etc/passwd"}, create_system=3, external_attr=(stat.S_IFLNK | 0o777) << 16
    )
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("image", b"one")

    case = admit(archive, "toy", home)

    assert [b"one"] == [path.read_bytes() for path in case.input_path("study", home).iterdir()]


def test_an_encrypted_zip_is_told_in_a_sentence(tmp_path):
    """Nobody is asked for a password; the bit is set by hand, because Python's library does not encrypt."""
    archive = zipped(tmp_path / "study.zip", {"one": b"1234567890" * 100})
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)

    with pytest.raises(DataError, match="encrypted"):
        admit(archive, "toy", Home(tmp_path / "home"))


def test_a_zip_packed_so_that_its_reader_needs_any_amount_of_memory_is_refused(tmp_path):
    """LZMA's dictionary is as large as the file says."""
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("one", b"1")

    with pytest.raises(DataError, match="unknown way"):
        admit(tmp_path / "study.zip", "toy", Home(tmp_path / "home"))


def test_a_zip_bomb_is_refused_before_anything_is_unpacked(tmp_path, monkeypatch):
    """Each entry is read to the size that it claims and no further, so the claims tell; a small one is let through."""
    archive = zipped(tmp_path / "study.zip", {f"{number}": bytes(2**20) for number in range(8)})
    opened = []
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: opened.append(1))
    monkeypatch.setattr(inbox, "HARMLESS_BYTES", 4 * 2**20)

    with pytest.raises(DataError, match="times its size"):
        admit(archive, "toy", Home(tmp_path / "home"))
    assert [] == opened
    monkeypatch.undo()
    case = admit(archive, "toy", Home(tmp_path / "home"))
    assert 8 == len(list(case.input_path("study", Home(tmp_path / "home")).iterdir()))


def test_an_entry_that_holds_more_than_it_claims_is_not_read_on(tmp_path):
    """The claim is cut to 10 bytes by hand: what comes out is refused, and nowhere near a megabyte was written."""
    archive = zipped(tmp_path / "study.zip", {"one": bytes(2**20)})
    content = bytearray(archive.read_bytes())
    for place in (22, content.index(b"PK\x01\x02") + 24):
        content[place : place + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(content)

    with pytest.raises(DataError, match="damaged"):
        admit(archive, "toy", Home(tmp_path / "home"))


def test_a_zip_within_a_zip_stays_one_file(tmp_path):
    """Nothing is unpacked twice; the receive stage says that it is no image."""
    home = Home(tmp_path / "home")
    inner = zipped(tmp_path / "inner.zip", {"one": b"one"})

    case = admit(zipped(tmp_path / "study.zip", {"inner.zip": inner.read_bytes()}), "toy", home)

    assert [inner.read_bytes()] == [path.read_bytes() for path in case.input_path("study", home).iterdir()]


def test_nothing_there_makes_no_case(tmp_path):
    """A mistyped path is a mistake at the keyboard, not an examination."""
    with pytest.raises(DataError, match="does not exist"):
        admit(tmp_path / "absent", "toy", Home(tmp_path / "home"))


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    """Whoever has the key can undo pseudonyms."""
    home = Home(tmp_path)

    first = home.secret().read_text()

    assert first == home.secret().read_text()
    assert len(bytes.fromhex(first.strip())) == 32
    assert stat.S_IMODE(home.secret().stat().st_mode) == 0o600
    assert stat.S_IMODE(home.vault.stat().st_mode) == 0o700


@pytest.mark.parametrize("case_id", ["../../etc", "", "7F3A7F3A7F3A7F3A", "7f3a", "{{ conf }}", "7f3a7f3a7f3a7f3a\n"])
def test_what_is_no_case_id_reaches_no_path(tmp_path, case_id):
    """Case ids come from web forms and queues."""
    with pytest.raises(DataError, match="16 hexadecimal digits"):
        Home(tmp_path).case_folder(case_id)


def test_a_case_of_another_key_is_not_taken_for_this_one(tmp_path):
    """A case folder copied between deployments keeps its own inputs."""
    case = admit(study(tmp_path / "in", FILES), "toy", Home(tmp_path / "home"))

    with pytest.raises(DataError, match="made with another key"):
        replace(case, inputs={**case.inputs, "secret": "0" * 64}).write()
