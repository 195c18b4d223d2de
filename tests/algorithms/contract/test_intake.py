"""What may be in an upload's manifest and in the message that announces it, and that nothing else gets through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from algorithms.contract.errors import DataError
from algorithms.contract.inbox import MAX_BYTES, MAX_FILES
from algorithms.contract.intake import FILE_FIELDS, MANIFEST_FIELDS, MESSAGE_FIELDS, Message, Upload, announcement
from algorithms.contract.pipeline import PROJECT

FILE = {"name": "files/000001", "sha256": "a" * 64, "size_bytes": 5}
MANIFEST = {
    "version": 1,
    "pipeline": "coronary",
    "site": "site-07",
    "region": "eu-central-1",
    "study": "0123456789abcdef" * 2,
    "files": [FILE],
    "parameters": {"series": 2, "viscosity_pa_s": 0.0035, "smooth": True, "kernel": "medium"},
}


def text(**changed: Any) -> bytes:
    """Return a manifest with these fields changed; ``None`` leaves a field out."""
    return json.dumps({name: value for name, value in (MANIFEST | changed).items() if value is not None}).encode()


def test_a_manifest_comes_back_as_it_was_written():
    """The sender writes with the same class that the platform reads with."""
    upload = Upload.parse(text())

    assert Upload.parse(upload.text()) == upload
    assert json.loads(upload.text()) == MANIFEST


def test_parameters_are_optional():
    """Most examinations are answered with the defaults."""
    assert Upload.parse(text(parameters=None)).parameters == {}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"version": 2}, id="a version of tomorrow"),
        pytest.param({"version": True}, id="a switch for a number"),
        pytest.param({"pipeline": "../coronary"}, id="a path for a pipeline"),
        pytest.param({"site": "Mustermann, Max"}, id="a name for a site"),
        pytest.param({"site": "site-07\n"}, id="a line feed after a site"),
        pytest.param({"region": None}, id="no region"),
        pytest.param({"study": "1.2.276.0.7230010.3.1"}, id="a real study's UID"),
        pytest.param({"study": 7}, id="a number for a pseudonym"),
        pytest.param({"files": []}, id="no files"),
        pytest.param({"files": [FILE, FILE]}, id="a file twice"),
        pytest.param({"files": [FILE | {"name": "files/Mustermann.dcm"}]}, id="a name in a file's name"),
        pytest.param({"files": [FILE | {"name": "../000001"}]}, id="a path out of the upload"),
        pytest.param({"files": [FILE | {"sha256": "A" * 64}]}, id="not a sha256"),
        pytest.param({"files": [FILE | {"size_bytes": -1}]}, id="less than nothing"),
        pytest.param({"files": [FILE | {"size_bytes": MAX_BYTES + 1}]}, id="a file larger than any examination"),
        pytest.param({"files": [FILE | {"PatientName": "Mustermann^Max"}]}, id="an undeclared field of a file"),
        pytest.param({"files": ["Mustermann"]}, id="a text for a file"),
        pytest.param({"parameters": {"comment": "Mustermann, born 1950"}}, id="free text for a parameter"),
        pytest.param({"parameters": {"Mustermann": 1}}, id="a name for a parameter's name"),
        pytest.param({"parameters": {"series": [1]}}, id="a list for a parameter"),
        pytest.param({"PatientName": "Mustermann^Max"}, id="an undeclared field"),
    ],
)
def test_a_manifest_that_is_not_as_declared_is_refused_without_repeating_it(changed):
    """What stands in a wrong field may identify a person, and the message of an error goes into logs and dead letters."""
    with pytest.raises(DataError) as refused:
        Upload.parse(text(**changed))

    assert "Muster" not in str(refused.value)
    assert "1.2.276" not in str(refused.value)


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xfe", id="not text"),
        pytest.param(b"[" * 100_000, id="nested deeper than Python can"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"version": NaN}', id="not a number"),
        pytest.param(text().replace(b"0.0035", b"1e999"), id="more than a float"),
        pytest.param(text().replace(b'"series": 2', b'"series": ' + b"9" * 10_000), id="more digits than Python reads"),
    ],
)
def test_what_is_no_json_of_ours_is_refused(hostile):
    """It comes from outside: whatever it is, it ends as a sentence and not as a traceback."""
    with pytest.raises(DataError, match=r"make the upload again|short word"):
        Upload.parse(hostile)


def test_an_upload_is_no_larger_than_an_examination():
    """Refused before a byte is fetched: a disk that is full stops every other case too."""
    half = [FILE | {"name": f"files/{number:06d}", "size_bytes": MAX_BYTES // 2 + 1} for number in (1, 2)]
    many = [FILE | {"name": f"files/{number:06d}"} for number in range(MAX_FILES + 1)]

    with pytest.raises(DataError, match="more than 256 GiB"):
        Upload.parse(text(files=half))
    with pytest.raises(DataError, match="files in the upload's manifest is not as wanted"):
        Upload.parse(text(files=many))


def test_a_message_says_which_upload_and_nothing_of_the_patient():
    """It passes through queues, logs and Airflow: opaque names, codes and a hash, each with a pattern."""
    message = announcement("ab" * 16, text())

    assert Message.parse(message.text().encode()) == message
    assert set(json.loads(message.text())) == {declared.name for declared in MESSAGE_FIELDS}
    assert all(declared.pattern for declared in MESSAGE_FIELDS if declared.kind is str)


@pytest.mark.parametrize(
    "changed", [{"upload": "../../etc"}, {"manifest_sha256": None}, {"reply_to": "elsewhere"}, {"site": 5}]
)
def test_a_message_that_is_not_as_declared_is_refused(changed):
    """A message cannot point the platform outside the place where uploads lie."""
    document = json.loads(announcement("ab" * 16, text()).text()) | changed

    with pytest.raises(DataError):
        Message.parse(json.dumps({name: value for name, value in document.items() if value is not None}).encode())


def test_every_text_in_a_manifest_has_a_pattern():
    """A text without one could hold anything."""
    assert all(declared.pattern for declared in (*MANIFEST_FIELDS, *FILE_FIELDS) if declared.kind is str)


@pytest.mark.parametrize("declared", [*MANIFEST_FIELDS, *FILE_FIELDS, *MESSAGE_FIELDS], ids=lambda declared: declared.name)
def test_the_documentation_names_every_field(declared):
    """Whoever writes another sender reads docs/contract.md."""
    documentation = Path(PROJECT / "docs" / "contract.md").read_text()

    assert f"| `{declared.name}` |" in documentation
