"""The appliance's one configuration file: YAML, checked against ``config.schema.json``, in which every key is described."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError
from edge.tls import Tls

SCHEMA = Path(__file__).with_name("config.schema.json")

KINDS = {
    "type": "is not as wanted (not of the kind {})",
    "pattern": "is not as wanted (not of the form {})",
    "minimum": "is not as wanted (less than {})",
    "maximum": "is not as wanted (more than {})",
    "exclusiveMinimum": "is not as wanted (not more than {})",
    "minItems": "is not as wanted (fewer than {})",
    "uniqueItems": "is not as wanted (one of it twice)",
}
"""What is said of a value that breaks a rule; the value itself may be a name."""


@dataclass(frozen=True)
class Listen:
    """How modalities and PACS reach the appliance."""

    ae_title: str
    callers: list[str]
    address: str
    port: int
    max_associations: int
    max_pdu_bytes: int
    least_free_mib: int
    tls: Tls | None = None
    commitment: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Complete:
    """When a study is taken to be whole."""

    stable_s: float
    patience_s: float


@dataclass(frozen=True)
class Deidentify:
    """How identity is taken out."""

    policy: str | None
    limit_s: float


@dataclass(frozen=True)
class Send:
    """Where studies go, and how often that is tried."""

    store: str
    pipeline: str
    site: str
    region: str
    seal_for: str
    queue: str | None
    attempts: int
    first_wait_s: float


@dataclass(frozen=True)
class Health:
    """Where the health page is."""

    address: str
    port: int


@dataclass(frozen=True)
class Config:
    """All that can be set; the keys of the file have the same names."""

    home: Path
    keep_days: float
    keep_identity_days: float
    listen: Listen
    complete: Complete
    deidentify: Deidentify
    send: Send
    health: Health

    @staticmethod
    def read(path: Path) -> Config:
        """Return the configuration in a file.

        Raises
        ------
        DataError
            If there is none, or it is not as the schema wants it; says the key and what it should be, not what it was.
        """
        import yaml

        try:
            document = yaml.safe_load(path.read_text())
        except OSError as error:
            raise DataError(f"cannot read the configuration ({error.strerror}); name a YAML file, see docs/edge.md") from error
        except (yaml.YAMLError, UnicodeDecodeError):
            raise DataError("the configuration is not YAML; see the example in docs/edge.md") from None
        return Config.parse(document)

    @staticmethod
    def parse(document: Any) -> Config:
        """Return the configuration that a document describes; raises `DataError` as `read`."""
        schema = json.loads(SCHEMA.read_text())
        _require_valid(document, schema)
        whole = _with_defaults(document, schema)
        return Config(
            home=Path(whole["home"]),
            keep_days=whole["keep_days"],
            keep_identity_days=whole["keep_identity_days"],
            listen=Listen(**whole["listen"] | {"tls": Tls(**tls) if (tls := whole["listen"]["tls"]) else None}),
            complete=Complete(**whole["complete"]),
            deidentify=Deidentify(**whole["deidentify"]),
            send=Send(**whole["send"]),
            health=Health(**whole["health"]),
        )


def _require_valid(document: Any, schema: dict[str, Any]) -> None:
    import jsonschema

    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(document))
    if error is None:
        return
    key = ".".join(str(part) for part in error.absolute_path) or "the configuration"
    if error.validator == "additionalProperties":
        known = ", ".join(error.schema["properties"])
        raise DataError(f"{key} has a key that is not known; it may have {known}")
    if error.validator == "required":
        missing = sorted(set(error.schema["required"]) - set(error.instance))
        raise DataError(f"{key} has no {', '.join(missing)}; add it, see docs/edge.md")
    kind = KINDS.get(error.validator, "is not as wanted").format(error.validator_value)
    raise DataError(f"{key} {kind}; it should be: {_described(schema, error.absolute_path)}")


def _described(schema: dict[str, Any], path: Iterable[str | int]) -> str:
    """Return what the schema says of a key, or of the last one around it of which it says anything."""
    told = "an object, see docs/edge.md"
    for part in path:
        schema = schema.get("properties", {}).get(part) or schema.get("items") or schema.get("additionalProperties") or {}
        told = schema.get("description", told)
    return told


def _with_defaults(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the schema's default wherever a key is absent."""
    whole = dict(document)
    for name, declared in schema["properties"].items():
        if name not in whole and "default" in declared:
            whole[name] = declared["default"]
        if "properties" in declared and whole.get(name) is not None:
            whole[name] = _with_defaults(whole[name], declared)
    return whole
