"""Kernel names of the makers, and nothing else."""

from __future__ import annotations

import pytest

from algorithms.dicom.kernel import kernel_class, kernel_name


@pytest.mark.parametrize(
    ("text", "kind"),
    [("Br38f\\3", "smooth"), ("B26f", "smooth"), ("Bv40", "smooth"), ("I26f", "smooth"), ("B46f", "sharp"), ("Bv59", "sharp"),
     ("STANDARD", "smooth"), ("BONEPLUS", "sharp"), ("XCB", "smooth"), ("YC", "sharp"), ("FC03", "smooth"), ("FC52", "sharp"),
     ("", "unknown"), ("Quastenflosser", "unknown")],
)  # fmt: skip
def test_kernels_are_smooth_or_sharp_by_the_makers_naming(text, kind):
    """Smooth ones show the lumen; an unknown name is ranked between."""
    assert kernel_class(text) == kind


@pytest.mark.parametrize("text", ["Meier", "{{x}}", "Bv40 Meier", "<b>", "KH7301942", "B26f\nx"])
def test_what_is_no_kernel_is_never_repeated(text):
    """The field is free text, and the selection is shown in the report."""
    assert kernel_name(text) == ""
