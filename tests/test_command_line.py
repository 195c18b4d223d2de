"""The command line as a shell sees it: exit code, one line of JSON, help; on the coronary pipeline in stub mode."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from algorithms.contract.catalogue import pipelines

PROJECT = Path(__file__).resolve().parents[1]


def shell(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``python -m algorithms`` with these arguments."""
    command = [sys.executable, "-m", "algorithms", *map(str, arguments)]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


@pytest.fixture
def study(tmp_path) -> Path:
    (tmp_path / "in" / "Muster^Max").mkdir(parents=True)
    (tmp_path / "in" / "Muster^Max" / "a.dcm").write_bytes(b"not DICOM")
    return tmp_path / "in"


@pytest.mark.parametrize("pipeline", pipelines().values(), ids=lambda p: p.name)
def test_help_names_every_stage_and_every_parameter_with_its_default(pipeline):
    """A newcomer has nothing else on the screen."""
    text = shell(pipeline.name, "--help").stdout

    assert all(stage.help in text for stage in pipeline.stages)
    words = " ".join(text.split())
    for _, p in pipeline.parameters():
        default = f"{p.default:g}" if isinstance(p.default, float) else p.default
        assert f"{p.name}: " in words
        assert f"default {default})" in words.partition(f"{p.name}: ")[2]


def test_the_result_is_one_line_of_json_and_the_log_is_elsewhere(study, tmp_path):
    """So that a shell script can read it, and nothing of the input's names is in either."""
    done = shell("coronary", "--stub", "--home", tmp_path / "home", "--input", study)

    assert 0 == done.returncode
    summary = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert Path(summary["html"]).exists()
    assert "12/12 exchange done" in done.stderr
    assert "Muster" not in done.stdout + done.stderr


def test_receive_makes_a_case_that_later_stages_find_by_its_folder(study, tmp_path):
    """The order of a deployment: the door today, the stages when a worker is free."""
    received = json.loads(shell("coronary", "receive", study, "--stub", "--home", tmp_path / "home").stdout)
    case = tmp_path / "home" / "cases" / received["case_id"]

    done = shell("coronary", "deidentify", "--stub", "--home", tmp_path / "home", "--case", case)

    assert 0 == done.returncode
    assert "deidentify" == json.loads(done.stdout)["stage"]


def test_region_and_site_are_given_at_the_door(study, tmp_path):
    """A case that was carried into a home of another region is refused there by every stage."""
    home, other = tmp_path / "home", tmp_path / "other"
    place = ("--region", "eu-central-1", "--site", "s-017")
    received = json.loads(shell("coronary", "receive", study, "--stub", "--home", home, *place).stdout)
    case = home / "cases" / received["case_id"]
    shell("coronary", "receive", study, "--stub", "--home", other, "--region", "us-east-1")

    done = shell("coronary", "deidentify", "--stub", "--home", other, "--case", case)

    assert ("eu-central-1", "s-017") == tuple(json.loads((case / "case.json").read_text())[n] for n in ("region", "site"))
    assert 65 == done.returncode
    assert "region eu-central-1 came to a home of region us-east-1" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        pytest.param(["--input", "absent"], 65, "the input does not exist", id="mistyped path"),
        pytest.param([], 65, "name the case with --case DIR", id="no case"),
        pytest.param(["--case", "absent"], 65, "no case.json", id="not a case"),
        pytest.param(["--case", "x", "--set", "nonsense"], 65, "--set wants NAME=VALUE", id="half a setting"),
        pytest.param(["--case", "x", "--set", "Muster=Max"], 65, "coronary has no parameter", id="unknown parameter"),
    ],
)
def test_a_mistake_at_the_keyboard_gets_a_sentence_and_no_traceback(arguments, code, sentence):
    """And what was typed is not repeated, since it may be a name."""
    done = shell("coronary", *arguments)

    assert code == done.returncode
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert "Muster" not in done.stderr
