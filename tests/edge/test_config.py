"""The configuration: what is wrong is said by key, what may be set is documented, and the example of the docs is one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from algorithms.contract.errors import DataError
from edge.config import SCHEMA, Config

DOCUMENTATION = (Path(__file__).resolve().parents[2] / "docs" / "edge.md").read_text()
EXAMPLE = yaml.safe_load(re.search(r"```yaml\n(.*?)```", DOCUMENTATION, re.DOTALL)[1])  # type: ignore[index]
EXAMPLE["send"]["seal_for"] = "ab" * 32


def keys(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield key, default and description of everything that may be set."""
    for name, declared in schema["properties"].items():
        if "properties" in declared:
            yield from keys(declared, f"{prefix}{name}.")
        elif name in schema.get("required", ()):
            yield f"{prefix}{name}", "required", declared["description"]
        else:
            default = declared["default"]
            yield f"{prefix}{name}", "none" if default is None else f"`{default}`", declared["description"]


@pytest.mark.parametrize(
    ("key", "default", "description"), list(keys(json.loads(SCHEMA.read_text()))), ids=lambda text: text[:20]
)
def test_the_documentation_says_what_every_key_does(key: str, default: str, description: str) -> None:
    """The schema is what counts; the table repeats it."""
    assert f"| `{key}` | {default} | {description} |" in DOCUMENTATION


def test_the_example_of_the_documentation_is_a_configuration() -> None:
    """With defaults where it says nothing."""
    config = Config.parse(EXAMPLE)

    assert (["CT1", "PACS"], 11112, 120) == (config.listen.callers, config.listen.port, config.complete.stable_s)


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        pytest.param(None, {"Muster": 1}, "has a key that is not known; it may have home", id="unknown key"),
        pytest.param("listen", {"Muster": 1}, "listen has a key that is not known", id="unknown key in a section"),
        pytest.param(
            "send", {"site": "Klinik Muster"}, "send.site is not as wanted .*Code of this site", id="a name for a code"
        ),
        pytest.param("send", {"seal_for": "ab"}, "send.seal_for is not as wanted", id="half a key"),
        pytest.param("listen", {"callers": []}, "listen.callers is not as wanted", id="nobody may send"),
        pytest.param(None, {"send": {}}, "send has no pipeline, region, seal_for, site, store", id="nothing said"),
        pytest.param(None, {"home": "data"}, "home is not as wanted", id="a relative home"),
    ],
)
def test_a_mistake_is_said_by_its_key_and_not_repeated(section: str | None, changes: dict[str, Any], message: str) -> None:
    """What was typed may be a name."""
    document = EXAMPLE | ({section: EXAMPLE[section] | changes} if section else changes)

    with pytest.raises(DataError, match=message) as refused:
        Config.parse(document)
    assert "Muster" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot read"), ("{", "not YAML"), ("- a\n", "not as wanted")],
    ids=["none", "torn", "a list"],
)
def test_what_is_no_configuration_is_said_in_a_sentence(tmp_path: Path, content: str | None, message: str) -> None:
    """Mistakes at the keyboard."""
    if content is not None:
        (tmp_path / "edge.yaml").write_text(content)

    with pytest.raises(DataError, match=message):
        Config.read(tmp_path / "edge.yaml")
