"""The door: copies an examination as it came into the inbox and makes the case of it.

Names of files and folders are dropped at the door, since they often hold names of people: files become 000001, 000002, ...
in the order of their sha256, so that a folder, the same folder under another name and a zip file of it are one case.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from algorithms.contract.case import LOCAL, SECRET, Case, Home
from algorithms.contract.digest import sha256_path
from algorithms.contract.disk import flush
from algorithms.contract.draft import draft
from algorithms.contract.errors import DataError

MAX_FILES = 50_000
"""More than any examination has; a coronary study with ten phases is 5000 files."""

MAX_BYTES = 256 * 2**30
"""Twenty slides of 8 GiB with room; it stops a zip bomb before the disk is full."""

MAX_RATIO = 100
"""Most that a zip file may grow; CT images shrink to a third, a bomb to a thousandth."""

HARMLESS_BYTES = 2**30
"""A zip file may grow to this whatever its size: an invented image of nothing but air shrinks like a bomb."""

ENCRYPTED = 1
"""Bit of a zip entry's flags (APPNOTE 4.4.4)."""

UNIX = 3
"""Maker of a zip entry whose attributes hold the kind of the file (APPNOTE 4.4.2)."""

BLOCK = 2**20


def admit(
    source: Path,
    pipeline: str,
    home: Home,
    folder: Path | None = None,
    *,
    region: str | None = None,
    site: str = LOCAL,
) -> Case:
    """Return the case made of a file, a folder or a zip file; admitting the same content again returns the same case.

    Parameters
    ----------
    source
        What was received.  Symbolic links inside it are not followed.
    pipeline
        Name of the diagnostic that shall answer it.
    home
        Where the original is kept until it is de-identified.
    folder
        The case folder; the home's own by default.
    region
        Where the case's data may be kept; the home's own by default.
    site
        Who sent it: an assigned code.

    Raises
    ------
    DataError
        If there is nothing at ``source``, it is too much, ``folder`` holds another case, or the home is in another region.
    """
    if not source.exists():
        raise DataError("the input does not exist; name the folder, zip file or file that holds the examination")
    region = home.settle(region)
    secret = home.secret()
    home.inbox.mkdir(parents=True, exist_ok=True, mode=0o700)
    # One that a killed call has left holds originals: the next call removes it.
    with draft(home.inbox) as draft_folder:
        try:
            copied = _copy(source, draft_folder / "copied")
        except (zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError):
            raise DataError("the zip file is damaged or packed in an unknown way; pack the folder again") from None
        study = draft_folder / "study"
        study.mkdir()
        for number, (_, path) in enumerate(sorted(copied), start=1):
            path.rename(study / f"{number:06d}")
        flush(study)
        inputs = {"study": sha256_path(study), SECRET: sha256_path(secret)}
        key = bytes.fromhex(secret.read_text().strip())
        # A site sees its own cases only, so what two sites send is two cases; ids from before there were sites stay.
        who = "" if site == LOCAL else f" {site}"
        case_id = hmac.new(key, f"case {pipeline} {inputs['study']}{who}".encode(), hashlib.sha256).hexdigest()[:16]
        case = Case(folder or home.case_folder(case_id), case_id, pipeline, inputs, region, site)
        _keep(study, case.input_path("study", home))
        case.write()
        return case


def _keep(study: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        study.rename(place)
    except OSError:
        # The same content is already there, put by an earlier or a simultaneous call.
        if not place.exists():
            raise


def _copy(source: Path, target: Path) -> list[tuple[str, Path]]:
    target.mkdir()
    copied: list[tuple[str, Path]] = []
    total = 0
    for stream in _streams(source):
        with stream:
            path = target / str(len(copied))
            digest = hashlib.sha256()
            with path.open("wb") as file:
                while block := stream.read(BLOCK):
                    total += len(block)
                    if total > MAX_BYTES:
                        raise DataError(f"the examination has more than {MAX_BYTES / 2**30:.0f} GiB; send one examination only")
                    digest.update(block)
                    file.write(block)
        copied.append((digest.hexdigest(), path))
        if len(copied) > MAX_FILES:
            raise DataError(f"the examination has more than {MAX_FILES} files; send one examination only")
    return copied


def _streams(source: Path) -> Iterator[IO[bytes]]:
    if source.is_dir():
        for folder, _, names in os.walk(source):
            for name in names:
                path = Path(folder) / name
                if path.is_file() and not path.is_symlink():
                    yield path.open("rb")
    elif zipfile.is_zipfile(source):
        yield from _zip_streams(source)
    else:
        yield source.open("rb")


def _zip_streams(source: Path) -> Iterator[IO[bytes]]:
    """Yield the content of every file; an entry's name is never used, so it cannot lead anywhere."""
    with zipfile.ZipFile(source) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _is_link(entry)]
        if any(entry.flag_bits & ENCRYPTED for entry in entries):
            raise DataError("the zip file is encrypted; send it without a password over a protected channel")
        if any(entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} for entry in entries):
            raise NotImplementedError  # LZMA lets a file say how much memory its reader shall take
        # No more than this is read of an entry, whatever it holds, so that a bomb is known before anything is unpacked.
        claimed = sum(entry.file_size for entry in entries)
        packed = source.stat().st_size
        if claimed > max(MAX_RATIO * packed, HARMLESS_BYTES):
            raise DataError(
                f"the zip file would unpack to {claimed / packed:.0f} times its size, wanted at most {MAX_RATIO}; "
                "images do not shrink like that, pack the folder again"
            )
        for entry in entries:
            yield archive.open(entry)


def _is_link(entry: zipfile.ZipInfo) -> bool:
    """Return whether an entry is a symbolic link, which names a file that was not sent (as in a folder)."""
    return entry.create_system == UNIX and stat.S_ISLNK(entry.external_attr >> 16)
