"""What arrives: an upload below one prefix of a store, and the message that announces it; both as data, with their checks.

::

    <upload>/files/000001, 000002, ...    the examination; names that say nothing
    <upload>/manifest.json                written last: where it is, the upload is whole

An upload is called by 32 hexadecimal digits.  Every text in manifest and message must have a declared pattern and a field that
is not declared is refused, so that no free text rides along; no message repeats a value that was refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorithms.contract.case import CODE
from algorithms.contract.envelope import ENVELOPE
from algorithms.contract.errors import DataError
from algorithms.contract.inbox import MAX_BYTES, MAX_FILES
from algorithms.contract.manifest import MANIFEST
from algorithms.contract.pipeline import Value
from algorithms.contract.store import Store

VERSION = 1
"""Of manifest and message; a platform refuses one that it does not know."""

MAX_MANIFEST_BYTES = 16 * 2**20
"""A manifest of as many files as an examination may have takes 7 MiB."""

FILES = "files"
"""Below it are the files of an upload."""

UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Field:
    """One declared field of a JSON document: its type, and what its value must be like."""

    name: str
    kind: type
    help: str
    pattern: re.Pattern[str] | None = None
    minimum: int | None = None
    maximum: int | None = None
    required: bool = True


def _shared() -> tuple[Field, ...]:
    return (
        Field("version", int, f"Of this schema: {VERSION}.", minimum=VERSION, maximum=VERSION),
        Field("pipeline", str, "Name of the diagnostic that shall answer it.", re.compile(r"[a-z][a-z0-9_]{0,31}")),
        Field("site", str, "Code of the sending site: lower-case letters, digits and hyphens.", CODE),
        Field("region", str, "Where the data may be kept; a deployment takes its own region only.", CODE),
    )


MANIFEST_FIELDS = (
    *_shared(),
    Field("study", str, "Pseudonym of the study, 32 hexadecimal digits; the site alone can undo it.", UPLOAD_ID),
    Field("files", list, f"The files of the examination, 1 to {MAX_FILES}.", minimum=1, maximum=MAX_FILES),
    Field("parameters", dict, "Parameters of the pipeline that differ from their default.", maximum=100, required=False),
    Field(
        "envelope",
        str,
        "Of an upload whose files are encrypted: their key, which the platform can open.",
        ENVELOPE,
        required=False,
    ),
)
"""What ``manifest.json`` of an upload holds."""

FILE_FIELDS = (
    Field("name", str, "files/ and six digits.", re.compile(r"files/[0-9]{6}")),
    Field("sha256", str, "Of its bytes, 64 hexadecimal digits.", SHA256),
    Field("size_bytes", int, "Its size.", minimum=0, maximum=MAX_BYTES),
)
"""What an entry of ``files`` holds."""

MESSAGE_FIELDS = (
    *_shared(),
    Field("upload", str, "Name of the upload, 32 hexadecimal digits.", UPLOAD_ID),
    Field("manifest_sha256", str, "Of the bytes of its manifest.json, 64 hexadecimal digits.", SHA256),
)
"""What the message that announces an upload holds."""

PARAMETER_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
PARAMETER_WORD = re.compile(r"[A-Za-z0-9_.+-]{0,64}")


@dataclass(frozen=True)
class UploadFile:
    """One file of an upload."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Upload:
    """What the manifest of an upload says."""

    pipeline: str
    site: str
    region: str
    study: str
    files: Sequence[UploadFile]
    parameters: Mapping[str, Value] = field(default_factory=dict)
    envelope: str | None = None

    @staticmethod
    def parse(text: bytes) -> Upload:
        """Return the upload that a manifest describes.

        Raises
        ------
        DataError
            If it is not as `MANIFEST_FIELDS` declare.
        """
        document = _checked(_json(text, "the upload's manifest"), MANIFEST_FIELDS, "the upload's manifest")
        files = [_checked(entry, FILE_FIELDS, "a file in the upload's manifest") for entry in document["files"]]
        upload = Upload(
            pipeline=document["pipeline"],
            site=document["site"],
            region=document["region"],
            study=document["study"],
            files=tuple(UploadFile(**entry) for entry in files),
            parameters=_parameters(document.get("parameters", {})),
            envelope=document.get("envelope"),
        )
        if len({file.name for file in upload.files}) != len(upload.files):
            raise DataError("the upload's manifest names a file twice; make the upload again")
        if sum(file.size_bytes for file in upload.files) > MAX_BYTES:
            raise DataError(f"the upload has more than {MAX_BYTES / 2**30:.0f} GiB; send one examination only")
        return upload

    def text(self) -> bytes:
        """Return the manifest; equal uploads have equal bytes."""
        document = {
            "version": VERSION,
            "pipeline": self.pipeline,
            "site": self.site,
            "region": self.region,
            "study": self.study,
            "files": [vars(file) for file in self.files],
            "parameters": dict(self.parameters),
            **({"envelope": self.envelope} if self.envelope else {}),
        }
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


@dataclass(frozen=True)
class Message:
    """Announces that an upload is whole."""

    upload: str
    manifest_sha256: str
    pipeline: str
    site: str
    region: str

    @staticmethod
    def parse(text: bytes) -> Message:
        """Return the message; raises `DataError` if it is not as `MESSAGE_FIELDS` declare."""
        document = _checked(_json(text, "the message"), MESSAGE_FIELDS, "the message")
        return Message(**{name: value for name, value in document.items() if name != "version"})

    def text(self) -> str:
        """Return the message as it is sent."""
        return json.dumps({"version": VERSION, **vars(self)}, sort_keys=True)


def announcement(name: str, text: bytes) -> Message:
    """Return the message that announces the upload ``name`` with the manifest ``text``; raises `DataError` for a bad one."""
    upload = Upload.parse(text)
    return Message(name, hashlib.sha256(text).hexdigest(), upload.pipeline, upload.site, upload.region)


def manifest_text(store: Store, upload: str, folder: Path) -> bytes:
    """Return the bytes of an upload's manifest, fetched to ``folder``.

    Raises
    ------
    DataError
        If the store has none, or it is not what was stored, or no manifest is so large.
    """
    path = store.get_file(f"{upload}/{MANIFEST}", folder / MANIFEST)
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise DataError(f"the upload's manifest has more than {MAX_MANIFEST_BYTES // 2**20} MiB; make the upload again")
    return path.read_bytes()


def _json(text: bytes, what: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise DataError(f"{what} is not JSON; make the upload again") from None


def _no_number(_: str) -> float:
    raise ValueError("NaN and infinity are not JSON")


def _checked(document: Any, fields: Sequence[Field], what: str) -> dict[str, Any]:
    """Return the document, an object with the declared fields and no others."""
    if type(document) is not dict:
        raise DataError(f"{what} is not an object; make the upload again")
    known = {field.name: field for field in fields}
    if unknown := len(set(document) - set(known)):
        raise DataError(f"{what} has {unknown} undeclared fields; it may have {', '.join(known)}")
    for name, declared in known.items():
        if name not in document and declared.required:
            raise DataError(f"{what} has no {name}; make the upload again")
        if name in document and not _fits(document[name], declared):
            raise DataError(f"{name} in {what} is not as wanted: {declared.help}")
    return document


def _fits(value: Any, declared: Field) -> bool:
    kind: object = type(value)
    if kind is not declared.kind:  # isinstance() would take a bool for an int
        return False
    if isinstance(value, str):
        return declared.pattern is not None and declared.pattern.fullmatch(value) is not None
    size = value if isinstance(value, int) else len(value)
    return (declared.minimum is None or size >= declared.minimum) and (declared.maximum is None or size <= declared.maximum)


def _parameters(given: Mapping[str, Any]) -> dict[str, Value]:
    for name, value in given.items():
        if isinstance(value, str):
            plain = PARAMETER_WORD.fullmatch(value) is not None
        else:
            plain = isinstance(value, bool | int | float) and math.isfinite(value)
        if not plain or not PARAMETER_NAME.fullmatch(name):
            raise DataError("a parameter in the upload's manifest is not a name with a number, a switch or a short word")
    return dict(given)
