"""Any folder tree of any files: sorted by patient, study and series, cleaned, proved, and written under new names.

All is written in a draft inside the target (`algorithms.contract.draft`), and appears when the last patient is proved.  A draft
that a killed run has left goes when the next one starts; nobody else's files are ever touched.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from algorithms.contract.case import Home
from algorithms.contract.draft import LOCK, draft
from algorithms.contract.errors import DataError
from algorithms.contract.identity import record_of, remember_study
from algorithms.dicom.confinement import Confinement
from algorithms.dicom.identity import ATTRIBUTES, UIDS, gathered
from algorithms.dicom.privacy.confined import Failure
from algorithms.dicom.privacy.dictionary import tag_of
from algorithms.dicom.privacy.policy import policy_of
from algorithms.dicom.privacy.quarantine import Quarantine
from algorithms.dicom.privacy.study import KILLED, Cleaned, batches, cleaned, manifest, proved, told
from algorithms.dicom.privacy.subject import Subject, patient_key
from algorithms.dicom.privacy.table import Option
from algorithms.dicom.pseudonym import digest, replaced_uid

log = logging.getLogger(__name__)

MOST_DEATHS = 1000
"""Files of a folder that may kill the parser; each costs the time or memory of one child."""

DRAFT = re.compile(r"\.draft-(new-|swept-)?[0-9a-f]{16}")
WORK, READY = "patient", "ready"
"""Names of drafts, and what lies in one beside its lock: the images of the patient in hand, and the proved patients."""

LEAKED: Failure = (
    "value found in output",
    "a removed value was found in the output of this patient; report this to the operator",
)


@dataclass(frozen=True)
class Whose:
    """A file below the folder, and what it says of its patient, study and series."""

    name: str
    says: Mapping[str, str] = field(repr=False)

    def place(self) -> tuple[float, float, str]:
        """Return what a series is sorted by: position along its normal in mm, number, name."""
        position, orientation = _numbers(self.says.get("position", ""), 3), _numbers(self.says.get("orientation", ""), 6)
        number = _numbers(self.says.get("number", ""), 1)
        along = 0.0
        if position and orientation:
            (ax, ay, az), (bx, by, bz) = orientation[:3], orientation[3:]
            normal = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
            along = sum(p * n for p, n in zip(position, normal, strict=True))
        return along, number[0] if number else 0.0, self.name


def _numbers(text: str, count: int) -> list[float]:
    try:
        numbers = [float(part) for part in text.split("\\")]
    except ValueError:
        return []
    return numbers if len(numbers) == count and all(abs(n) < 1e9 for n in numbers) else []


@dataclass
class Run:
    """One run of the command: its folders and what it counts."""

    source: Path
    target: Path
    secret: bytes = field(repr=False)
    policy: Mapping[str, Any]
    quarantine: Quarantine
    home: Home | None = None
    counts: Counter[str] = field(default_factory=Counter)
    found_in: Counter[str] = field(default_factory=Counter)


def deidentify_folder(
    source: Path, target: Path, secret: bytes, policy: Mapping[str, Any], quarantine: Path | None, *, home: Home | None = None
) -> dict[str, Any]:
    """De-identify every file below ``source`` into ``target``, and return the summary: counts only.

    Parameters
    ----------
    source, target
        Folders; ``source`` is not changed, ``target`` is empty or missing.
    secret
        Makes the pseudonyms.
    policy
        As `site_policy` returns it.
    quarantine
        Folder for what is refused; it stays in ``source`` only where there is none.
    home
        Its vault remembers who each study is about; nothing is remembered where there is none.

    Raises
    ------
    DataError
        If the target holds anything, another run writes into it, or so many files kill the parser that the folder must be an
        attack.
    """
    if target.exists() and not (target.is_dir() and all(map(_is_draft, target.iterdir()))):
        raise DataError("OUT is not empty; name a new or empty folder, so that files of two runs are not mixed")
    run = Run(source, target, secret, policy, Quarantine(source, quarantine, secret), home)
    names = sorted(str(path.relative_to(source)) for path in source.rglob("*") if path.is_file() and not path.is_symlink())
    log.info("found %d files", len(names))
    with draft(target) as folder:
        # Whoever makes his draft before he looks sees a run that looked before: of two at once at least one stops.
        if any(path != folder for path in target.iterdir()):
            raise DataError("another run is writing into OUT; wait for its end, or name another folder")
        with Confinement(most_deaths=MOST_DEATHS) as confinement:
            patients = _patients(_surveyed(run, confinement, names))
            for number, (key, studies) in enumerate(sorted(patients.items()), start=1):
                _patient(run, confinement, folder, key, studies)
                log.info("patient %d of %d done, %d files written", number, len(patients), run.counts["files"])
        for ready in sorted((folder / READY).glob("*")):
            ready.rename(target / ready.name)
    return {
        "files_read": len(names),
        "files_written": run.counts["files"],
        "patients": run.counts["patients"],
        "studies": run.counts["studies"],
        "series": run.counts["series"],
        "files_refused": sum(run.quarantine.reasons.values()),
        "refused": dict(sorted(run.quarantine.reasons.items())),
        **({"studies_remembered": run.counts["remembered"]} if home else {}),
        "patients_stopped": run.counts["stopped"],
        "values_found_in": told(run.found_in),
        "values_searched": run.counts["values"],
        "bytes_searched": run.counts["bytes"],
    }


def _is_draft(path: Path) -> bool:
    """Return whether a folder in the target is a draft of ours, by its name and all that it holds."""
    try:
        inside = {one.name for one in path.iterdir()}
    except OSError:  # no folder, or another user's
        return False
    return DRAFT.fullmatch(path.name) is not None and not path.is_symlink() and inside <= {LOCK, WORK, READY}


def _surveyed(run: Run, confinement: Confinement, names: Sequence[str]) -> list[Whose]:
    """Return whose the files are; what is no DICOM file, or damaged, is refused."""
    found = []
    also = [[tag_of(keyword), keyword] for keyword in (*ATTRIBUTES, *UIDS)] if run.home else []
    context = {"source": str(run.source), "also": also}
    for group, answers in batches(confinement, "algorithms.dicom.privacy.confined:Survey", context, names):
        for name, (says, failure) in zip(group, answers or [[None, KILLED]], strict=True):
            if failure is None:
                found.append(Whose(name, says))
            else:
                run.quarantine.refuse(name, (failure[0], failure[1]))
    return found


def _patients(files: Sequence[Whose]) -> dict[str, dict[str, list[Whose]]]:
    """Return the files by patient and study; a file without identifier belongs to the patient of its study, if that is one."""
    identifiers: dict[str, set[str]] = defaultdict(set)
    others: dict[str, set[str]] = defaultdict(set)
    for file in files:
        study = file.says.get("study", "")
        identifiers[study] |= {file.says.get("patient", "")} - {""}
        others[study] |= {file.says.get("name", ""), file.says.get("birth", "")} - {""}
    patients: dict[str, dict[str, list[Whose]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        study, own = file.says.get("study", ""), file.says.get("patient", "")
        if not own and study and len(identifiers[study]) == 1:
            (own,) = identifiers[study]
        named = others[study] if study else {file.says.get("name", ""), file.says.get("birth", "")}
        key = patient_key({own}, named, {study or file.says.get("image", "")})
        patients[key][study].append(file)
    return patients


def _patient(run: Run, confinement: Confinement, place: Path, patient: str, studies: Mapping[str, Sequence[Whose]]) -> None:
    """Clean and prove the files of one patient, and make them ready."""
    folder = place / WORK
    folder.mkdir()
    parts: list[tuple[str, dict[str, list[Path]], Cleaned]] = []
    numbers = 0
    for study, files in sorted(studies.items()):
        stand_in = study or "\n".join(sorted(file.says.get("image", "") for file in files))
        subject = Subject(run.secret, patient, digest(run.secret, "study", stand_in).hex())
        order = sorted(files, key=lambda file: (file.says.get("series", ""), file.place()))
        pairs = [[file.name, f"{numbers + index:06d}"] for index, file in enumerate(order)]
        numbers += len(pairs)
        outputs = {name: output for name, output in pairs}  # noqa: C416
        done = cleaned(confinement, (run.source, folder), pairs, subject, run.policy)
        for name, failure in sorted(done.refused.items()):
            run.quarantine.refuse(name, failure)
            (folder / outputs[name]).unlink(missing_ok=True)
        series: dict[str, list[Path]] = defaultdict(list)
        for file, (name, output) in zip(order, pairs, strict=True):
            if name not in done.refused:
                series[file.says.get("series", "")].append(folder / output)
        parts.append((study, series, done))
    written = sorted(path for _, series, _ in parts for paths in series.values() for path in paths)
    scan, leaks = proved([done for _, _, done in parts], written, run.policy)
    run.counts["values"] += scan["values_searched"]
    run.counts["bytes"] += scan["bytes"]
    if leaks:
        run.found_in.update(leaks)
        run.counts["stopped"] += 1
        refused = {name for _, _, done in parts for name in done.refused}
        for file in (file for files in studies.values() for file in files if file.name not in refused):
            run.quarantine.refuse(file.name, LEAKED)
    elif written:
        for study, files in sorted(studies.items()):
            _remember(run, study, [file for file in files if not any(file.name in done.refused for _, _, done in parts)])
        _make_ready(run, place / READY / Subject(run.secret, patient, "").pseudonym, parts, scan)
    shutil.rmtree(folder)


def _remember(run: Run, study: str, files: Sequence[Whose]) -> None:
    """Keep in the vault who a study is about, before anything of it appears; one without a UID of its own has no record."""
    if run.home is None or not study or not files:
        return
    identity, pseudonym = gathered([file.says for file in files], run.secret), replaced_uid(run.secret, study)
    if Option.RETAIN_UIDS in policy_of(run.policy).options:
        identity, pseudonym = replace(identity, uids={uid: uid for uid in identity.uids.values()}), study
    remember_study(run.home, record_of(run.home, pseudonym), identity)
    run.counts["remembered"] += 1


def _make_ready(
    run: Run, place: Path, parts: Sequence[tuple[str, dict[str, list[Path]], Cleaned]], scan: Mapping[str, Any]
) -> None:
    """Move the proved files of a patient to their places, with a ``privacy.json`` for each study."""
    run.counts["patients"] += 1
    for study, series, done in parts:
        files = sum(len(paths) for paths in series.values())
        if not files:
            continue
        home = place / replaced_uid(run.secret, study)
        for uid, paths in series.items():
            room = home / replaced_uid(run.secret, uid)
            room.mkdir(parents=True)
            width = max(4, len(str(len(paths))))
            for index, path in enumerate(paths, start=1):
                path.rename(room / f"{index:0{width}d}.dcm")
        refused = Counter(kind for kind, _ in done.refused.values())
        document = manifest(done.actions, files, refused, scan, run.policy)
        (home / "privacy.json").write_text(json.dumps(document, indent=1) + "\n")
        run.counts.update(files=files, studies=1, series=len(series))
