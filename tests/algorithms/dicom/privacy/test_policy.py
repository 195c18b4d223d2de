"""The allow-list keeps nothing that the table forbids, and a site's policy can only choose what the standard offers."""

from __future__ import annotations

from io import BytesIO
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import FileDataset

from algorithms.contract.errors import DataError
from algorithms.dicom.privacy.dictionary import vr_of
from algorithms.dicom.privacy.policy import DEFAULT, policy_of, site_policy
from algorithms.dicom.privacy.table import STRICTNESS, Option, row
from tests.algorithms.dicom.ct_series import image
from tests.algorithms.dicom.privacy.cleaning import deidentified

OFFERED = ("retain_uids", "retain_device_identity", "retain_institution_identity", "retain_patient_characteristics",
           "retain_full_dates", "retain_modified_dates", "clean_descriptors", "clean_structured_content",
           "clean_graphics")  # fmt: skip
PIXELS = np.full((16, 16), 40, dtype=np.int16)


def choices() -> list[list[str]]:
    """Return every choice of options, but full and modified dates together."""
    every = chain.from_iterable(combinations(OFFERED, count) for count in range(len(OFFERED) + 1))
    return [list(chosen) for chosen in every if not {"retain_full_dates", "retain_modified_dates"} <= set(chosen)]


def test_no_attribute_is_treated_more_mildly_than_the_table_allows():
    """Under every choice of options, at every depth: what the table names needs at least the action that it asks for."""
    for chosen in choices():
        policy = policy_of({"version": 1, "options": chosen})
        for rules in policy.rules.values():
            for tag, rule in rules.items():
                asked = row(tag)
                least = "K" if asked is None else asked.least_action(policy.options)

                assert STRICTNESS[rule.action] >= STRICTNESS[least], (chosen, f"{tag:08X}")
    assert len(choices()) == 384


def test_the_list_of_pictures_is_no_milder_than_the_table_either():
    """Rectangles come with their option, and change the rule for the type of an image."""
    blank = {"sop_class": "1.2.840.10008.5.1.4.1.1.7", "manufacturer": "A", "model": "B", "rows": 9, "columns": 9,
             "rectangles": [[0, 0, 1, 1]]}  # fmt: skip
    policy = policy_of({"version": 1, "options": ["clean_pixel_data"], "blank": [blank]})
    asked = [(rule, row(tag)) for rules in policy.rules.values() for tag, rule in rules.items()]

    assert not [r for r, of in asked if of is not None and STRICTNESS[r.action] < STRICTNESS[of.least_action(policy.options)]]


def test_attributes_have_the_value_representation_of_the_standard():
    """A row with another one would never let its attribute through."""
    for rules in policy_of(DEFAULT).rules.values():
        for tag, rule in rules.items():
            assert vr_of(tag) in rule.vrs, f"{tag:08X}"


def test_numbers_of_many_values_cannot_spell():
    """Of whole numbers every second or fourth byte must be no letter, or six of them would be a name of twelve."""
    highest = {"US": 0x1FFF, "SS": 0x1FFF, "UL": 0x1FFFF, "SL": 0x1FFFF}
    for rules in policy_of(DEFAULT).rules.values():
        for tag, rule in rules.items():
            if rule.most > 1:
                assert all(rule.high <= highest[vr] for vr in rule.vrs if vr in highest), f"{tag:08X}"


def test_the_default_is_basic_with_modified_dates_and_patient_characteristics():
    """What the flow model needs: age, sex, size, weight, and the days between examinations."""
    assert policy_of(DEFAULT).options == {
        Option.BASIC, Option.RETAIN_MODIFIED_DATES, Option.RETAIN_PATIENT_CHARACTERISTICS
    }  # fmt: skip


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("version: 1\noptions: []\nkeeep: []\n", "keeep", id="unknown key"),
        pytest.param("version: 2\noptions: []\n", "at version", id="version"),
        pytest.param("version: 1\noptions: [retain_everything]\n", "at options/0", id="unknown option"),
        pytest.param(
            "version: 1\noptions: [clean_recognizable_visual_features]\n", "no method here", id="option that is not offered"
        ),
        pytest.param("version: 1\noptions: [retain_full_dates, retain_modified_dates]\n", "full and modified", id="both dates"),
        pytest.param("version: 1\noptions: []\nremove: [KPV]\n", "KPV, which is no keyword", id="keyword"),
        pytest.param(
            "version: 1\noptions: []\nkeep: [{attribute: PatientComments, rule: text}]\n",
            "only as X",
            id="milder than the table",
        ),
        pytest.param("version: 1\noptions: []\nkeep: [{attribute: KVP, rule: number}]\n", "low", id="number without bounds"),
        pytest.param(
            "version: 1\noptions: []\n"
            "safe_private: [{creator: A, group: '0029', element: '10', vr: CS, rule: codes, terms: [B]}]\n",
            "without the option retain_safe_private",
            id="private without its option",
        ),
        pytest.param("{", "no YAML", id="no YAML"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused_with_its_place(tmp_path, text, found):
    """Nothing is guessed: a misspelt key could leave a name in thousands of files."""
    with pytest.raises(DataError, match=found):
        site_policy(written(tmp_path, text))


def test_a_missing_policy_file_is_named_as_such(tmp_path):
    """A newcomer's first mistake."""
    with pytest.raises(DataError, match="policy file does not exist"):
        site_policy(tmp_path / "none.yaml")


def cleaned(text: str, tmp_path: Path, **values: object) -> FileDataset:
    dataset = image(PIXELS, 7)
    buffer = BytesIO()
    with disable_value_validation():
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        block = dataset.private_block(0x0029, "SAFE MAKER", create=True)
        block.add_new(0x10, "DS", "12.5")
        block.add_new(0x11, "LO", "Quastenflosser")
        dataset.save_as(buffer, enforce_file_format=True)
    policy = site_policy(written(tmp_path, text))
    return pydicom.dcmread(BytesIO(deidentified(buffer.getvalue(), policy=policy)[0]))


def test_nothing_but_the_basic_profile(tmp_path):
    """Table E.1-1, first column: no dates, no patient characteristics, UIDs replaced."""
    dataset = cleaned("version: 1\noptions: []\n", tmp_path)

    assert dataset.StudyDate == dataset.PatientSex == ""
    assert not {"PatientAge", "PatientWeight", "PatientSize", "SeriesDate", "AcquisitionDate"} & set(dir(dataset))
    assert dataset.LongitudinalTemporalInformationModified == "REMOVED"
    assert [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence] == ["113100"]


def test_options_keep_what_they_say(tmp_path):
    """Device, institution, UIDs and dates as they were; each option is told by its code of CID 7050."""
    original = image(PIXELS, 7)

    dataset = cleaned(
        "version: 1\noptions: [retain_uids, retain_device_identity, retain_institution_identity, retain_full_dates]\n", tmp_path
    )

    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "StudyDate", "AcquisitionTime", "StationName", "DeviceSerialNumber",
                    "InstitutionName"):  # fmt: skip
        assert dataset[keyword].value == original[keyword].value, keyword
    assert dataset.LongitudinalTemporalInformationModified == "UNMODIFIED"
    assert {item.CodeValue for item in dataset.DeidentificationMethodCodeSequence} == {
        "113100", "113106", "113109", "113110", "113112"
    }  # fmt: skip
    assert "StudyDescription" not in dataset


def test_a_kept_text_that_holds_the_patients_name_goes(tmp_path):
    """An institution may be called after a donor, a station after whoever lies in it."""
    dataset = cleaned("version: 1\noptions: [retain_device_identity]\n", tmp_path, StationName="QUASTENFLOSSER 1")

    assert "StationName" not in dataset


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        pytest.param("ISO_IR 144", "Клиника на реке", id="cyrillic"),
        pytest.param("GB18030", "上海王医院", id="gb18030"),
        pytest.param("ISO_IR 192", "Ψυχή 病院", id="utf-8"),
        pytest.param(["", "ISO 2022 IR 87"], "山田病院", id="japanese"),
        pytest.param(["", "ISO 2022 IR 149"], "김희중 병원", id="korean"),
        pytest.param("ISO_IR 100", "Spital Müßiggang", id="latin-1"),
    ],
)
def test_kept_text_is_read_in_its_character_set_and_written_in_utf_8(tmp_path, character_set, name):
    """The reader is pydicom; SpecificCharacterSet says what the text is written in."""
    text = "version: 1\noptions: [retain_institution_identity]\n"

    dataset = cleaned(text, tmp_path, SpecificCharacterSet=character_set, InstitutionName=name)

    assert dataset.InstitutionName == name
    assert dataset.SpecificCharacterSet == "ISO_IR 192"


def test_descriptions_keep_the_words_of_the_site_only(tmp_path):
    """Clean Descriptors: a description is rebuilt from a closed vocabulary."""
    text = "version: 1\noptions: [clean_descriptors]\nwords: [herz, CT]\n"

    assert cleaned(text, tmp_path).StudyDescription == "Herz CT"


def test_safe_private_attributes_stay_with_their_creator(tmp_path):
    """Retain Safe Private: the listed element and the block's reservation, nothing else of the block."""
    text = (
        "version: 1\noptions: [retain_safe_private]\n"
        "safe_private: [{creator: SAFE MAKER, group: '0029', element: '10', vr: DS, rule: number, low: 0, high: 20}]\n"
    )

    dataset = cleaned(text, tmp_path)

    private = {element.tag: element.value for element in dataset if element.tag.is_private}
    assert private == {0x00290010: "SAFE MAKER", 0x00291010: 12.5}


def test_a_site_can_take_away_and_add(tmp_path):
    """A number within bounds and codes from a list; outside of them the attribute goes."""
    text = (
        "version: 1\noptions: []\nremove: [KVP, Manufacturer]\n"
        "keep: [{attribute: FilterType, rule: codes, terms: [WEDGE]}, {attribute: AnatomicalOrientationType, rule: codes, "
        "terms: [BIPED]}, {attribute: DataCollectionDiameter, rule: number, low: 1, high: 2}]\n"
    )

    dataset = cleaned(text, tmp_path, FilterType="WEDGE", AnatomicalOrientationType="QUADRUPED", DataCollectionDiameter="500")

    assert dataset.FilterType == "WEDGE"
    assert not {"AnatomicalOrientationType", "DataCollectionDiameter"} & set(dir(dataset))
    assert dataset.get("KVP") is None  # type 2: there, and empty
