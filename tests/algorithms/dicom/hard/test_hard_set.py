"""The command, as a hospital runs it, on the hard set: nothing planted comes out, and everything that research needs does."""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.algorithms.dicom.hard.command import run
from tests.algorithms.dicom.hard.hard_set import CLEAN, REFUSED, HardFile, HardSet, hard_set
from tests.algorithms.dicom.hard.leaks import Needles, decoded, leaks_below

DCIODVFY = Path("/usr/bin/dciodvfy")


@dataclass(frozen=True)
class Outcome:
    """What one run left behind; ``images`` are the files of OUT by InstanceNumber, of those that have one of the set."""

    made: HardSet
    given: Path
    out: Path
    quarantine: Path
    run: subprocess.CompletedProcess[bytes]
    images: dict[int, Path]
    peak_gib: float

    @property
    def texts(self) -> list[tuple[str, bytes]]:
        """What it said."""
        return [("standard output", self.run.stdout), ("standard error", self.run.stderr)]

    def clean(self) -> list[tuple[HardFile, Dataset]]:
        """Return the files that had to come out, each with what became of it."""
        wanted = [file for file in self.made.files if file.expected == CLEAN and file.number in self.images]
        return [(file, pydicom.dcmread(self.images[file.number])) for file in wanted]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One run over the whole set."""
    folder = tmp_path_factory.mktemp("hard")
    key = folder / "key"
    key.write_text("00112233445566778899aabbccddeeff" * 2 + "\n")
    key.chmod(0o600)
    made = hard_set()
    given, out, quarantine = made.write(folder / "in"), folder / "out", folder / "quarantine"
    scratch = folder / "scratch"
    scratch.mkdir()
    peak = tmp_path_factory.mktemp("peak") / "kib"
    done = run(given, out, "--key-file", key, "--quarantine", quarantine, scratch=scratch, peak=peak)
    images = {int(pydicom.dcmread(path, stop_before_pixels=True).InstanceNumber): path for path in out.rglob("*.dcm")}
    return Outcome(made, given, out, quarantine, done, images, int(peak.read_text()) / 2**20)


def test_nothing_planted_comes_out(outcome: Outcome) -> None:
    """Not in a byte, a name, a decoded pixel, nor in what the command says."""
    leaks = leaks_below(outcome.out, outcome.made.planted, texts=outcome.texts)

    assert Counter(str(leak) for leak in leaks) == Counter()


def test_nothing_is_left_beside_what_was_asked_for(outcome: Outcome) -> None:
    """Neither drafts nor temporary files; and the quarantine, which holds identities, is its owner's alone."""
    folder = outcome.given.parent

    assert {"in", "out", "quarantine", "key", "scratch"} == {path.name for path in folder.iterdir()}
    assert list((folder / "scratch").iterdir()) == []
    assert outcome.quarantine.stat().st_mode & 0o077 == 0


def test_no_file_makes_the_command_take_much_memory(outcome: Outcome) -> None:
    """A megabyte that inflates to a gibibyte, lengths of four gibibytes: 1.5 GiB is a confined child's limit."""
    assert outcome.peak_gib < 1.5


def test_the_key_comes_out_nowhere(outcome: Outcome) -> None:
    """Who has it can tell whose a pseudonym is."""
    secret = (outcome.given.parent / "key").read_text().strip()
    contents = [path.read_bytes() for path in outcome.out.rglob("*") if path.is_file()]
    contents += [said for _, said in outcome.texts]

    assert not [1 for content in contents if secret.encode() in content.lower() or bytes.fromhex(secret) in content]


@pytest.mark.parametrize(
    ("out", "quarantine"),
    [
        pytest.param("out", "out/quarantine", id="quarantine in OUT"),
        pytest.param("in/out", "quarantine", id="OUT in IN"),
        pytest.param("out", "in/quarantine", id="quarantine in IN"),
        pytest.param("out", "link/quarantine", id="quarantine in OUT by a link"),
        pytest.param("out", "out", id="quarantine is OUT"),
        pytest.param("quarantine/out", "quarantine", id="OUT in quarantine"),
    ],
)
def test_folders_that_would_mix_are_refused(outcome: Outcome, tmp_path: Path, out: str, quarantine: str) -> None:
    """What is kept back must not lie in what leaves, nor be read by the next run."""
    given, refused = tmp_path / "in", next(file for file in outcome.made.files if file.expected == REFUSED)
    given.mkdir()
    (given / "sound").write_bytes(outcome.made.files[0].content)
    (given / "refused").write_bytes(refused.content)
    (tmp_path / "link").symlink_to("out")

    done = run(given, tmp_path / out, "--key-file", tmp_path / "key", "--quarantine", tmp_path / quarantine)

    assert done.returncode == 65
    assert {"sound", "refused"} == {path.name for path in tmp_path.rglob("*") if path.is_file()} - {"key"}


def test_the_quarantine_names_nobody_but_in_the_originals(outcome: Outcome) -> None:
    """File names and reasons are for people to read; the originals are in there byte for byte."""
    originals = {file.content for file in outcome.made.files}
    contents = [(f"the name of {path.name}", path.name.encode()) for path in outcome.quarantine.rglob("*")]
    contents += [
        (path.name, path.read_bytes())
        for path in outcome.quarantine.rglob("*")
        if path.is_file() and path.read_bytes() not in originals
    ]

    assert [str(leak) for leak in Needles(outcome.made.planted).found_in(contents)] == []


def test_every_image_that_can_be_cleaned_comes_out(outcome: Outcome) -> None:
    """An image is not refused for what can be taken away."""
    missing = [file.what for file in outcome.made.files if file.expected == CLEAN and file.number not in outcome.images]

    assert missing == []


def test_what_may_show_text_is_kept_back_with_a_reason(outcome: Outcome) -> None:
    """None of these is in OUT; each lies in the quarantine as it came, under another name."""
    kept = {path.read_bytes() for path in outcome.quarantine.rglob("*") if path.is_file()}
    refused = [file for file in outcome.made.files if file.expected == REFUSED]

    assert len(refused) > 20
    assert [file.what for file in refused if file.number in outcome.images] == []
    assert [file.what for file in refused if file.content not in kept] == []


def test_no_file_is_lost(outcome: Outcome) -> None:
    """Each file is either in OUT or in the quarantine, and the summary counts both."""
    originals = Counter(file.content for file in outcome.made.files)
    kept = Counter(path.read_bytes() for path in outcome.quarantine.rglob("*") if path.is_file())
    refused, written = (originals & kept).total(), len(list(outcome.out.rglob("*.dcm")))
    summary = json.loads(outcome.run.stdout)
    numbers = {value for value in summary.values() if isinstance(value, int)}

    assert refused + written == len(outcome.made.files)
    assert {len(outcome.made.files), refused, written} <= numbers


def test_the_command_ends_well_though_files_are_refused(outcome: Outcome) -> None:
    """Refusing files is its work, not its failure."""
    assert outcome.run.returncode == 0, outcome.run.stderr.decode()[-2000:]


def test_the_pixels_are_bit_for_bit_those_of_the_input(outcome: Outcome) -> None:
    """Compared decoded, because a cleaned codestream has other bytes; bits above the stored ones are not pixels."""
    differ = []
    for file in outcome.made.files:
        if file.pixels is None or file.number not in outcome.images:
            continue
        got = decoded(outcome.images[file.number].read_bytes())
        if got is None or not np.array_equal(got.reshape(file.pixels.shape), file.pixels):
            differ.append(file.what)

    assert differ == []
    assert len(outcome.images) > 100


KEPT = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept",
    "Rows", "Columns", "BitsStored", "PixelRepresentation", "PhotometricInterpretation", "SeriesNumber", "PatientPosition",
    "Modality", "SOPClassUID", "PatientSex", "PatientSize", "PatientWeight",
)  # fmt: skip


def test_what_analysis_needs_is_as_it_was(outcome: Outcome) -> None:
    """Geometry, rescale, sex, size and weight of the plain images, and age up to 89."""
    plain = [(file, dataset) for file, dataset in outcome.clean() if file.what == "plain image"]

    assert len(plain) == 12
    for file, dataset in plain:
        original = pydicom.dcmread(io.BytesIO(file.content))
        for keyword in KEPT:
            assert dataset[keyword].value == original[keyword].value, keyword
        assert {"094Y": "090Y"}.get(original.PatientAge, original.PatientAge) == dataset.PatientAge


def test_no_age_above_89_comes_out(outcome: Outcome) -> None:
    """45 CFR 164.514(b)(2)(i)(C); 090Y stands for all of them, in every file."""
    for path in outcome.images.values():
        age = str(pydicom.dcmread(path).get("PatientAge", ""))

        assert re.fullmatch(r"(0[0-8]\dY|090Y|\d{3}[DWM])?", age), path.name


def test_uids_keep_what_belongs_together(outcome: Outcome) -> None:
    """One new UID for each old one, in all files; and every reference points to a file that is there."""
    new: dict[str, set[str]] = defaultdict(set)
    references = []
    for file, dataset in outcome.clean():
        if file.what != "plain image":
            continue
        original = pydicom.dcmread(io.BytesIO(file.content))
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"):
            new[original[keyword].value].add(dataset[keyword].value)
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        references += [item.ReferencedSOPInstanceUID for item in dataset.get("ReferencedImageSequence", [])]
    replaced = [next(iter(uids)) for uids in new.values()]
    there = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in outcome.images.values()}

    assert all(len(uids) == 1 for uids in new.values())
    assert len(set(replaced)) == len(new) == 4 * 3 + 12
    assert not set(replaced) & set(new)
    assert len(references) > 12
    assert set(references) <= there


def test_one_patient_has_one_pseudonym_and_the_days_between_the_studies_stay(outcome: Outcome) -> None:
    """Two studies of the first patient, three patients in all."""
    of: dict[str, set[tuple[str, str]]] = defaultdict(set)
    days: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for file, dataset in outcome.clean():
        if file.what != "plain image":
            continue
        assert file.study is not None
        of[file.study.patient.identifier].add((str(dataset.PatientID), str(dataset.PatientName)))
        days[file.study.patient.identifier].add((_day(file.study.date), _day(dataset.StudyDate)))

    assert [len(pseudonyms) for pseudonyms in of.values()] == [1, 1, 1]
    assert len({pseudonym for pseudonyms in of.values() for pseudonym in pseudonyms}) == 3
    assert sorted(len(pairs) for pairs in days.values()) == [1, 1, 2]
    for pairs in days.values():
        assert len({before - after for before, after in pairs}) == 1
        assert all(before != after for before, after in pairs)


def _day(value: Any) -> int:
    return date.fromisoformat(f"{str(value)[:4]}-{str(value)[4:6]}-{str(value)[6:8]}").toordinal()


def test_a_second_run_gives_the_same_pseudonyms(outcome: Outcome, tmp_path: Path) -> None:
    """The key decides, not the run, nor what else is in the folder."""
    plain = [file for file in outcome.made.files if file.what == "plain image"][:3]
    (tmp_path / "in").mkdir()
    for number, file in enumerate(plain):
        (tmp_path / "in" / str(number)).write_bytes(file.content)
    run(tmp_path / "in", tmp_path / "out", "--key-file", outcome.given.parent / "key")
    again = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, (tmp_path / "out").rglob("*.dcm"))}

    first = [pydicom.dcmread(outcome.images[file.number]) for file in plain]

    assert {dataset.SOPInstanceUID for dataset in first} == set(again)
    for dataset in first:
        assert again[dataset.SOPInstanceUID] == dataset


needs_validator = pytest.mark.skipif(not DCIODVFY.exists(), reason="needs the Debian package dicom3tools")


@needs_validator
@pytest.mark.parametrize("what", ["plain image", "in private blocks", "in overlays", "texts in ISO_IR 100"])
def test_the_validator_finds_no_new_error(outcome: Outcome, what: str) -> None:
    """The program dciodvfy knows the standard; what it said of the input it may say of the output, and no more."""
    assert new_errors(outcome, [file for file in outcome.made.files if file.what == what]) == {}


@pytest.mark.slow
@needs_validator
def test_the_validator_finds_no_new_error_in_any_image(outcome: Outcome) -> None:
    """Each image that had to come out, against what it was."""
    assert new_errors(outcome, [file for file in outcome.made.files if file.expected == CLEAN]) == {}


def new_errors(outcome: Outcome, files: list[HardFile]) -> dict[str, Counter[str]]:
    """Return the errors that an output has and its input had not, by file."""
    found = {}
    for file in files:
        new = errors(outcome.images[file.number].read_bytes()) - errors(file.content)
        if new:
            found[file.what] = new
    return found


def errors(content: bytes) -> Counter[str]:
    """Return what dciodvfy calls an error, without the values in it."""
    said = subprocess.run([DCIODVFY, "/dev/stdin"], input=content, capture_output=True, check=False)
    lines = said.stderr.decode(errors="replace").splitlines()
    return Counter(re.sub(r"=\s*<[^>]*>", "", line) for line in lines if line.startswith("Error"))


def test_the_folder_that_was_given_is_as_it_was(outcome: Outcome) -> None:
    """Read only: names, contents, the links and the pipe."""
    for file in outcome.made.files:
        assert (outcome.given / file.name).read_bytes() == file.content
    assert (outcome.given / "pipe").is_fifo()
    assert (outcome.given / "link").is_symlink()
