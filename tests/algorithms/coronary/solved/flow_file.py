"""The schema of flow.json, for tests."""

from __future__ import annotations

import json

import jsonschema

from algorithms.coronary.solved.document import SCHEMA_PATH


def require_valid(document):
    """Fail where a flow.json is not as its schema says."""
    jsonschema.validate(document, json.loads(SCHEMA_PATH.read_text()))
