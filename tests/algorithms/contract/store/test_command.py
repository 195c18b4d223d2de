"""The command that looks into a store: what an operator has when Airflow is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from algorithms.contract.store import open_store, put_tree
from algorithms.contract.store.__main__ import main


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A store with one result in it."""
    result = tmp_path / "result"
    result.mkdir()
    (result / "manifest.json").write_text("{}")
    (result / "report.html").write_text("<p>0.83</p>")
    store = open_store((tmp_path / "store").as_uri())
    put_tree(store, result, "cases/c/report/1")
    return store.uri


def test_a_tree_and_a_file_of_it_come_back(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A published report is fetched, verified, without any case folder."""
    assert main(["list", uri, "--prefix", "cases/c"]) == 0
    assert json.loads(capsys.readouterr().out) == ["cases/c/report/1/manifest.json", "cases/c/report/1/report.html"]

    assert main(["get", uri, "cases/c/report/1", str(tmp_path / "tree")]) == 0
    assert main(["get", uri, "cases/c/report/1/report.html", str(tmp_path / "one")]) == 0

    assert (tmp_path / "tree/report.html").read_text() == (tmp_path / "one/report.html").read_text() == "<p>0.83</p>"


def test_a_file_is_stored_and_leftovers_are_swept(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights go into the store this way; a draft of a killed writer goes."""
    (tmp_path / "store/.draft-0123456789abcdef").touch()

    assert main(["put", uri, "models/w.safetensors", str(tmp_path / "result/report.html")]) == 0
    assert main(["sweep", uri, "--days", "0"]) == 0

    assert capsys.readouterr().out == f'"{uri}/models/w.safetensors"\n1\n'
    assert not (tmp_path / "store/.draft-0123456789abcdef").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["get", "URI", "cases/none", "back"], 65, id="no such object"),
        pytest.param(["put", "URI", "models/w", "/none"], 65, id="no such file"),
        pytest.param(["list", "gs://bucket"], 65, id="no such kind of store"),
    ],
)
def test_what_is_not_there_says_so(uri: str, arguments: list[str], code: int, tmp_path: Path) -> None:
    """The exit codes are those of sysexits.h, as everywhere."""
    told = [text.replace("URI", uri).replace("back", str(tmp_path / "back")) for text in arguments]

    assert main(told) == code
