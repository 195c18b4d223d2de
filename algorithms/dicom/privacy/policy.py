"""What becomes of each attribute: the allow-list (`attributes.tsv`) under the options of the profile that a site chooses.

A site's policy file is YAML and checked against `policy.schema.json`; nothing in it can treat an attribute more mildly than
Table E.1-1 allows under the options that it chooses itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from algorithms.contract.errors import DataError
from algorithms.dicom.privacy.blanking import Key, Rectangle, entries
from algorithms.dicom.privacy.dictionary import label_of, tag_of, vr_of
from algorithms.dicom.privacy.table import STRICTNESS, Option, row

HERE = Path(__file__).parent
SCHEMA = HERE / "policy.schema.json"

LISTS = ("attributes.tsv", "groups.tsv", "content.tsv", "graphics.tsv", "pictures.tsv")
"""The allow-list."""

DEFAULT: dict[str, Any] = {"version": 1, "options": ["retain_modified_dates", "retain_patient_characteristics"]}
"""Basic profile, dates shifted, age, sex, size and weight kept: what the flow model needs."""

MAKERS = {
    "SIEMENS": "SIEMENS", "SIEMENS HEALTHINEERS": "Siemens Healthineers", "GE MEDICAL SYSTEMS": "GE MEDICAL SYSTEMS",
    "GE HEALTHCARE": "GE HEALTHCARE", "PHILIPS": "Philips", "PHILIPS MEDICAL SYSTEMS": "Philips Medical Systems",
    "PHILIPS HEALTHCARE": "Philips Healthcare", "TOSHIBA": "TOSHIBA", "CANON MEDICAL SYSTEMS": "CANON MEDICAL SYSTEMS",
    "CANON_MEC": "CANON_MEC", "TOSHIBA_MEC": "TOSHIBA_MEC", "HITACHI": "HITACHI", "HITACHI MEDICAL CORPORATION": "HITACHI",
    "FUJIFILM": "FUJIFILM", "FUJIFILM HEALTHCARE CORPORATION": "FUJIFILM", "NEUSOFT": "Neusoft", "UIH": "UIH",
    "ARINETA": "Arineta", "SAMSUNG ELECTRONICS": "SAMSUNG", "NEUROLOGICA": "NeuroLogica", "HEARTWOOD": "Heartwood",
}  # fmt: skip
"""Makers of scanners as they write themselves in Manufacturer, in capitals; any other text goes."""

IN_IMAGES = (0x00180000, 0x0020000C), (0x00200014, 0xFFFFFFFF)
"""Tags that a report or a presentation state shares with an image lie outside of these: patient, study, series."""

IMAGE_TYPE = 0x00080008

KINDS = ("number", "codes", "text", "words")
"""Rules that a site may give to an attribute of its own choice; each removes what it does not let through."""


@dataclass(frozen=True)
class Rule:
    """How one attribute is treated; ``name`` is a function of `algorithms.dicom.privacy.values`."""

    name: str
    action: str
    vrs: tuple[str, ...]
    low: float = 0.0
    high: float = 0.0
    most: int = 1
    """How many values a number may have: more could spell a text."""
    terms: frozenset[str] = frozenset()
    items: str = ""
    otherwise: bytes = b""
    """What is written where the rule lets nothing through and the standard wants a value."""
    common: bool = True
    """Whether its terms count as words of every output; those of rarer objects excuse only what was written."""


@dataclass(frozen=True)
class Policy:
    """Options of the profile, and the rules by set (those of kinds of objects, and of items) and tag."""

    options: frozenset[Option]
    rules: Mapping[str, Mapping[int, Rule]]
    private: Mapping[tuple[str, int, int], Rule] = field(default_factory=dict)
    """Safe private attributes: by creator, group, and the lower half of the element."""
    codes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Meanings of codes, by scheme and value, that a site adds to those of the standard."""
    blank: Mapping[Key, tuple[Rectangle, ...]] = field(default_factory=dict)
    """Rectangles that are blacked out, by what they are for."""
    words: frozenset[str] = frozenset()
    """Words of descriptions that may stay, in lower case."""

    @cached_property
    def keeps_texts(self) -> bool:
        """Whether free text of images may stay, or words of it."""
        return any(rule.name in {"text", "words"} for rule in self.rules["image"].values())

    def methods(self) -> list[tuple[str, str]]:
        """Return code and meaning of what was applied (CID 7050)."""
        return sorted(option.value for option in self.options | {Option.BASIC})

    def allowed(self) -> dict[int, frozenset[str]]:
        """Return the VRs that each attribute may have in an output, at any depth; private ones are not among them."""
        found: dict[int, set[str]] = {}
        for rules in self.rules.values():
            for tag, rule in rules.items():
                found.setdefault(tag, set()).update(rule.vrs)
        return {tag: frozenset(vrs) for tag, vrs in found.items()}

    def public_words(self) -> frozenset[str]:
        """Return every fixed text that an output may hold, whoever the patient is: finding one of these proves no leak."""
        every = [rule for rules in self.rules.values() for rule in rules.values()] + list(self.private.values())
        terms = {term for rule in every if rule.common for term in rule.terms}
        marks = {text for option in Option for text in option.value}
        own = {"CONTRAST AGENT", "MODIFIED", "UNMODIFIED", "YES", "DCM", "HEARTWOOD", "DICM", "ISO_IR 192"}
        creators = {creator for creator, _, _ in self.private}
        return frozenset(
            terms | marks | own | creators | set(MAKERS) | set(MAKERS.values()) | self.words | set(self.codes.values())
        )


def site_policy(path: Path | None) -> dict[str, Any]:
    """Return a site's policy file as a document that `policy_of` takes; the default where there is none.

    Raises
    ------
    DataError
        If it is no YAML, does not fit the schema, or is milder than the standard allows.
    """
    if path is None:
        return DEFAULT
    import jsonschema
    import yaml

    try:
        document = yaml.safe_load(path.read_text())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DataError("the policy file does not exist; name an existing one, or leave --policy out for the default") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise DataError("the policy file is no YAML text; docs/privacy.md shows one") from None
    if isinstance(document, dict) and "clean_recognizable_visual_features" in (document.get("options") or ()):
        raise DataError(
            "the policy chooses clean_recognizable_visual_features, for which there is no method here that is known to work; "
            "take it out: images that say that a person can be recognised in them are refused"
        )
    try:
        jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    except jsonschema.ValidationError as error:
        place = "/".join(str(part) for part in error.absolute_path) or "its top"
        raise DataError(
            f"the policy file does not fit at {place}: {error.message}; docs/privacy.md lists what it may say"
        ) from None
    policy_of(document)
    checked: dict[str, Any] = document
    return checked


def policy_of(document: Mapping[str, Any]) -> Policy:
    """Return the policy that a checked document describes.

    Raises
    ------
    DataError
        If an attribute is unknown, or would be treated more mildly than Table E.1-1 allows under the document's options.
    """
    options = frozenset(Option[name.upper()] for name in document.get("options", ())) | {Option.BASIC}
    if {Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES} <= options:
        raise DataError("the policy chooses full and modified dates, wanted one of them; take one out")
    rules: dict[str, dict[int, Rule]] = {}
    for place, tag, rule, option in _rows():
        if option is None or option in options:
            rules.setdefault(place, {}).setdefault(tag, rule)
    image = rules["image"]
    for keyword in document.get("remove", ()):
        for each in rules.values():
            each.pop(_tag(keyword), None)
    for entry in document.get("keep", ()):
        tag = _tag(entry["attribute"])
        rule = _site_rule(entry, vr_of(tag))
        asked = row(tag)
        if asked is not None and STRICTNESS[rule.action] < STRICTNESS[asked.least_action(options)]:
            least = asked.least_action(options)
            raise DataError(
                f"the policy keeps {entry['attribute']}, which Table E.1-1 allows only as {least} under its "
                "options; choose the option that retains it, or take the attribute out"
            )
        image[tag] = rule
    rules["enhanced"] = {**image, **rules["enhanced"]}
    shared = {tag: rule for tag, rule in image.items() if not any(low < tag < high for low, high in IN_IMAGES)}
    for name in ("document", "presentation"):
        rules[name] = shared | rules[name]
    rules["picture"] = image | rules["picture"]
    if document.get("blank"):
        image[IMAGE_TYPE] = rules["picture"][IMAGE_TYPE]
    private = {
        (entry["creator"], int(entry["group"], 16), int(entry["element"], 16)): _site_rule(entry, entry["vr"])
        for entry in document.get("safe_private", ())
    }
    if private and Option.RETAIN_SAFE_PRIVATE not in options:
        raise DataError(
            "the policy lists safe private attributes without the option retain_safe_private; add it to the options"
        )
    words = frozenset(word.casefold() for word in document.get("words", ()))
    codes = {(entry["scheme"], entry["code"]): entry["meaning"] for entry in document.get("codes", ())}
    return Policy(options, rules, private, codes, _blank(document, options), words)


def _blank(document: Mapping[str, Any], options: frozenset[Option]) -> dict[Key, tuple[Rectangle, ...]]:
    listed = document.get("blank", ())
    if bool(listed) != (Option.CLEAN_PIXEL_DATA in options):
        raise DataError(
            "the option clean_pixel_data and the list of rectangles (blank) go together, found one alone; add the other"
        )
    try:
        return entries(listed)
    except ValueError as error:
        raise DataError(f"a rectangle of entry {error} of blank reaches beyond its matrix; correct it") from None


def _tag(keyword: str) -> int:
    tag = tag_of(keyword)
    if tag is None:
        raise DataError(f"the policy names {keyword}, which is no keyword of DICOM PS3.6; correct its spelling")
    return tag


def _site_rule(entry: Mapping[str, Any], vr: str) -> Rule:
    name = entry["rule"]
    terms = frozenset(str(term).upper() for term in entry.get("terms", ()))
    action = "C" if name == "words" else "K"
    return Rule(name, action, (vr,), float(entry.get("low", 0)), float(entry.get("high", 0)), int(entry.get("most", 1)), terms)


@cache
def _rows() -> list[tuple[str, int, Rule, Option | None]]:
    found = []
    lines = [(name, line) for name in LISTS for line in (HERE / name).read_text().splitlines()]
    for source, line in lines:
        if line.startswith(("#", "set\t")):
            continue
        place, keyword, vr, name, detail, action, option, otherwise = (line + "\t" * 7).split("\t")[:8]
        tag = tag_of(keyword)
        if tag is None:
            raise ValueError(f"attributes.tsv names {keyword}, which is no keyword")
        low, high, most, terms, items = 0.0, 0.0, 1, frozenset[str](), ""
        if name in {"number", "geometry"}:
            bounds = detail.split()
            low, high, most = float(bounds[0]), float(bounds[1]), int((bounds[2:] or ["1"])[0])
        elif name in {"codes", "in_place", "frame_type"}:
            terms = frozenset(detail.split()) | frozenset(word.replace("_", " ") for word in detail.split())
        elif name in {"items", "coded", "drawn"}:
            items = detail
        rule = Rule(name, action, tuple(vr.split()), low, high, most, terms, items, otherwise.encode(), source == LISTS[0])
        found.append((place, tag, rule, Option[option.upper()] if option else None))
    return found


def described(policy: Policy) -> list[dict[str, str]]:
    """Return the rules for a reader: attribute, VR, rule and action."""
    image = policy.rules["image"]
    return [
        {"attribute": label_of(tag), "vr": "/".join(rule.vrs), "rule": rule.name, "action": rule.action}
        for tag, rule in sorted(image.items())
    ]
