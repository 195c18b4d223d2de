"""``python -m edge.fetch --from URL --study UID --to FOLDER``: get one study from a PACS by DICOMweb.

QIDO-RS says which instances the study has, WADO-RS brings them, and the folder is whole when it holds every one of them.  An
interrupted fetch is repeated with the same command, and brings only what is missing.  Files are called by a hash of their UID;
no message names patient, study or instance.

References
----------
DICOM PS3.18 sections 10.6 (QIDO-RS), 10.4 (WADO-RS); RFC 2046 section 5.1 (multipart), RFC 2387 (multipart/related).
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import logging
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from algorithms.contract.errors import EXIT_OK, DataError, TransientError
from algorithms.contract.inbox import MAX_BYTES, MAX_FILES
from algorithms.contract.shell import exit_code, log_to_stderr
from algorithms.contract.store.unfinished import draft, flush
from edge.head import UID, of_file

log = logging.getLogger("edge.fetch")

TIMEOUT_S = 120
"""Longest wait for the next bytes; a PACS may have to get a study from its archive."""

ATTEMPTS = 3
"""Rounds in which missing instances are asked for before the command gives up."""

PAGE = 1000
"""Instances asked for at once by QIDO-RS; a PACS may give fewer."""

BLOCK = 2**16
MAX_PART_HEADER_BYTES = 2**14

QUERIED = {"AccessionNumber": "00080050", "PatientID": "00100020"}
"""By what a study may be found, with the tag under which every PACS returns it (PS3.18 table 10.6.3-3)."""

UNESCAPED = "/:@!$'(),;"
"""What RFC 3986 allows in a query as it is, beside what is never escaped; Orthanc's plugin 1.7 takes no escapes back."""

SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID = "00080018", "0020000D", "0020000E"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token, and the identifiers of the query, to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class Pacs:
    """A DICOMweb service: its root, and the bearer token if it wants one."""

    root: str
    token: str = ""

    def find(self, keyword: str, value: str) -> str:
        """Return the StudyInstanceUID of the one study with a value of `QUERIED`; raises `DataError` if it is not one."""
        entries = self._json("studies", {keyword: value, "limit": str(PAGE)})
        # A PACS takes * and ? for wildcards, and may not tell capitals from small letters.
        found = {_value(entry, STUDY_INSTANCE_UID) for entry in entries if _value(entry, QUERIED[keyword]) == value} - {""}
        if len(found) != 1:
            raise DataError(f"the PACS found {len(found)} matching studies, wanted 1; name it by --study")
        return found.pop()

    def instances(self, study: str) -> dict[str, str]:
        """Return the SeriesInstanceUID of each instance of a study by its SOPInstanceUID; raises `DataError` if it has none."""
        found: dict[str, str] = {}
        while True:
            asked = {"limit": str(PAGE), "offset": str(len(found))}
            page = {
                _value(entry, SOP_INSTANCE_UID): _value(entry, SERIES_INSTANCE_UID)
                for entry in self._json(f"studies/{study}/instances", asked)
            }
            if not page.keys() - found.keys():  # the last page, or a PACS that knows no offset
                break
            found |= page
            if len(found) > MAX_FILES:
                raise DataError(f"the study has more than {MAX_FILES} instances; fetch a single series of it by hand")
        if not found:
            raise DataError("the PACS has no instances of this study")
        if not all(UID.fullmatch(uid) for entry in found.items() for uid in entry):
            raise DataError("the PACS names instances by UIDs that are not valid; ask who runs it")
        return found

    def parts(self, path: str) -> Iterator[Iterator[bytes]]:
        """Yield the content of each part of a WADO-RS answer, block by block; each must be read before the next."""
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        with self._open(path, accept) as answer:
            kind = Message()
            kind["Content-Type"] = answer.headers.get("Content-Type", "")
            boundary = kind.get_param("boundary")
            if kind.get_content_type() != "multipart/related" or not isinstance(boundary, str):
                raise DataError("the PACS does not answer in parts (multipart/related); is --from its DICOMweb root?")
            yield from split(answer, boundary.encode())

    def _json(self, path: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        with self._open(f"{path}?{urlencode(query, safe=UNESCAPED, quote_via=quote)}", "application/dicom+json") as answer:
            content = answer.read() if answer.status != http.client.NO_CONTENT else b"[]"
        try:
            document = json.loads(content)
        except ValueError:
            raise DataError("the PACS does not answer in DICOM JSON; is --from its DICOMweb root?") from None
        return [entry for entry in document if isinstance(entry, dict)] if isinstance(document, list) else []

    @contextmanager
    def _open(self, path: str, accept: str) -> Iterator[http.client.HTTPResponse]:
        headers = {"Accept": accept} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        request = urllib.request.Request(f"{self.root}/{path}", headers=headers)
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            error.close()
            if error.code >= 500 or error.code in {408, 429}:
                raise TransientError(f"the PACS answered {error.code}") from None
            raise DataError(f"the PACS answered {error.code}; look at --from, at the token and at what was asked for") from None
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise TransientError(f"the PACS cannot be reached, or stopped in the middle ({type(error).__name__})") from None


def split(stream: IO[bytes], boundary: bytes) -> Iterator[Iterator[bytes]]:
    """Yield the content of each part of a multipart body, block by block, holding no more than a block of it.

    Raises
    ------
    TransientError
        If the body ends before its last part does.
    """
    mark = b"\r\n--" + boundary
    buffer = bytearray(b"\r\n")  # the first boundary may stand at the very beginning

    def more() -> None:
        block = stream.read(BLOCK)
        if not block:
            raise TransientError("the PACS stopped in the middle of a study")
        buffer.extend(block)

    def until(end: bytes) -> Iterator[bytes]:
        """Yield what comes before ``end``, which is taken away too."""
        while (place := buffer.find(end)) < 0:
            safe = max(0, len(buffer) - len(end) + 1)
            yield bytes(buffer[:safe])
            del buffer[:safe]
            more()
        yield bytes(buffer[:place])
        del buffer[: place + len(end)]

    for _ in until(mark):
        pass
    while True:
        while len(buffer) < 2:
            more()
        if buffer[:2] == b"--":
            return
        if sum(len(block) for block in until(b"\r\n\r\n")) > MAX_PART_HEADER_BYTES:
            raise DataError("a part of the PACS's answer has a header without end; ask who runs it")
        content = until(mark)
        yield content
        for _ in content:  # what the caller left
            pass


def fetch(pacs: Pacs, study: str, folder: Path) -> dict[str, int]:
    """Bring every instance of a study into a folder, and return how many it has and how many were fetched now.

    Raises
    ------
    DataError
        If the PACS has no such study, refuses it, or sends what was not asked for.
    TransientError
        If instances are still missing after a few rounds.
    """
    if not UID.fullmatch(study):
        raise DataError("a StudyInstanceUID has digits and dots only, at most 64")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    wanted = pacs.instances(study)
    fetched = 0
    for attempt in range(ATTEMPTS):
        missing = {uid: series for uid, series in wanted.items() if not (folder / _name(uid)).exists()}
        if not missing:
            break
        log.info("%d of %d instances are missing, round %d", len(missing), len(wanted), attempt + 1)
        whole = len(missing) == len(wanted)
        paths = [f"studies/{study}"] if whole else [f"studies/{study}/series/{s}/instances/{uid}" for uid, s in missing.items()]
        try:
            for path in paths:
                fetched += sum(_keep(part, study, wanted, folder) for part in pacs.parts(path))
        except TransientError as error:
            log.warning("%s", error)
    left = sum(not (folder / _name(uid)).exists() for uid in wanted)
    if left:
        raise TransientError(
            f"{left} of {len(wanted)} instances are still missing; repeat the command, which goes on with them"
        )
    flush(folder)
    return {"instances": len(wanted), "fetched": fetched}


def _keep(part: Iterator[bytes], study: str, wanted: Mapping[str, str], folder: Path) -> bool:
    """Write one part to a file and return whether it is one that was wanted and not there."""
    with draft(folder / "part") as path:
        size = 0
        with path.open("xb") as file:
            for block in part:
                size += len(block)
                if size > MAX_BYTES:
                    raise DataError(f"an instance has more than {MAX_BYTES / 2**30:.0f} GiB")
                file.write(block)
        head, _, _ = of_file(path)
        place = folder / _name(head.SOPInstanceUID)
        if head.StudyInstanceUID != study:
            raise DataError("the PACS sent an instance of another study; ask who runs it")
        if head.SOPInstanceUID not in wanted or place.exists():
            return False
        flush(path)
        path.rename(place)
    return True


def _name(SOPInstanceUID: str) -> str:
    return f"{hashlib.sha256(SOPInstanceUID.encode()).hexdigest()[:32]}.dcm"


def _value(entry: Mapping[str, Any], tag: str) -> str:
    """Return the first value of an element of DICOM JSON (PS3.18 annex F), empty where there is none."""
    element = entry.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    log_to_stderr()
    options = _parser().parse_args(arguments)
    return exit_code(lambda: _do(options), log)


def _do(options: argparse.Namespace) -> int:
    if urlsplit(options.from_).scheme not in {"http", "https"}:
        raise DataError("--from is the http:// or https:// root of a DICOMweb service, such as https://pacs/dicom-web")
    token = options.token_file.read_text().strip() if options.token_file else ""
    pacs = Pacs(options.from_.rstrip("/"), token)
    study, accession, patient = (_given(text) for text in (options.study, options.accession, options.patient_id))
    if accession:
        study = pacs.find("AccessionNumber", accession)
    elif patient:
        study = pacs.find("PatientID", patient)
    print(json.dumps(fetch(pacs, study, options.to)))  # noqa: T201 - the command's result
    return EXIT_OK


def _given(text: str | None) -> str:
    """Return an option's value; ``-`` reads a line of standard input, which other users of the machine do not see."""
    return sys.stdin.readline().strip() if text == "-" else text or ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m edge.fetch", description="Get one study from a PACS by DICOMweb.")
    parser.add_argument("--from", dest="from_", required=True, metavar="URL", help="root of the service (http:// or https://)")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--study", metavar="UID", help="StudyInstanceUID; - reads it from standard input")
    which.add_argument("--accession", metavar="N", help="AccessionNumber of one study; - likewise")
    which.add_argument("--patient-id", metavar="ID", help="PatientID of a patient with one study; - likewise")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where the instances go; identifying")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="holds a bearer token (default: none is sent)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
