"""What cannot be cleaned is refused, with what to send instead, and leaves nothing behind."""

from __future__ import annotations

import pytest

from algorithms.contract.errors import DataError
from algorithms.dicom.privacy.engine import Engine
from algorithms.dicom.privacy.policy import DEFAULT, policy_of
from algorithms.dicom.privacy.syntax import Refused
from tests.algorithms.dicom.ct_series import IDENTITY, assert_nameless, image
from tests.algorithms.dicom.privacy.cleaning import PIXELS, SUBJECT, deidentified, encoded, planted


@pytest.mark.parametrize(
    ("values", "found"),
    [
        pytest.param({"BurnedInAnnotation": "YES"}, "burned-in text", id="burned-in"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "no original CT image", id="secondary capture"),
        pytest.param({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67"}, "no original CT image", id="dose report"),
        pytest.param({"ConversionType": "WSD"}, "no original CT image", id="workstation"),
        pytest.param({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "no original CT image", id="screen save"),
        pytest.param({"BitsAllocated": 32}, "wanted 8 or 16", id="32 bits"),
    ],
)
def test_what_cannot_be_cleaned_is_refused(values, found):
    """Pixels that may show a name are never let through; the message says what to send."""

    def changed(dataset):
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    with pytest.raises(DataError, match=found) as failure:
        deidentified(planted(changed))

    assert "send" in str(failure.value)
    assert_nameless(str(failure.value))


def test_what_a_refused_file_said_is_noted_with_the_next_one():
    """Its elements are judged anew, so that the proof knows their texts; nothing of the refused file alone is searched for."""
    refused, accepted = image(PIXELS, 7), image(PIXELS, 8)
    refused.ImageType, refused.ImageComments = "SECONDARY", "Haubentaucher"
    engine = Engine(policy_of(DEFAULT), SUBJECT)

    with pytest.raises(Refused):
        engine.clean(encoded(refused))
    engine.clean(encoded(accepted))

    texts = {taken.text for taken in engine.fresh()}
    assert IDENTITY["PatientName"] in texts
    assert "Haubentaucher" not in texts


def test_a_text_that_swallowed_its_neighbour_makes_a_damaged_file():
    """One changed length: what follows is read as part of the value, and would count as taken out of it."""
    data = encoded(image(PIXELS, 7))
    place = data.index(b"\x08\0\x60\0CS\x02\0CT")
    longer = data[: place + 6] + (10 + len("SIEMENS ") + 0).to_bytes(2, "little") + data[place + 8 :]

    with pytest.raises(DataError, match="taken its neighbours in"):
        deidentified(longer)
