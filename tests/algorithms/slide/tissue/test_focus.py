"""The blur that is measured against the blur that was planted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, ndimage

from algorithms.phantom.biopsy.man import man
from algorithms.phantom.biopsy.tissue import tile
from algorithms.slide.pixels.reader import open_slide
from algorithms.slide.tissue.focus import COARSE_UM, FINE_UM, blur_um, energy_ratio, measure
from tests.algorithms.slide.painted_slide import MPP, blur, glass, stain, stroke, write_slide

MEN = 8


@pytest.fixture(scope="module")
def patches() -> list[np.ndarray]:
    """Return tissue of several men, 128 um each, of different patterns and stains."""
    rng = np.random.default_rng(5)
    return [tile(rng, man(rng), size_px=256, mpp=0.5)[0] for _ in range(MEN)]


def softened(patch: np.ndarray, sigma_um: float) -> np.ndarray:
    soft = ndimage.gaussian_filter(patch.astype(np.float32), (sigma_um / 0.5, sigma_um / 0.5, 0))
    return soft.round().astype(np.uint8)


@pytest.mark.parametrize("sigma_um", [0.0, 0.7, 2.0])
def test_the_closed_form_is_the_integral_over_the_spectrum(sigma_um):
    """Energy of a band of a scene of spectrum 1/f^2: (exp(-a f^2) - exp(-b f^2))^2 / f over all f, by quadrature."""

    def energy(band: tuple[float, float]) -> float:
        a, b = (side**2 + sigma_um**2 for side in band)
        # With f = exp(u) the integrand is smooth and ends on both sides.
        return integrate.quad(lambda u: (np.exp(-a * np.exp(2 * u)) - np.exp(-b * np.exp(2 * u))) ** 2, -12, 6, limit=200)[0]

    assert energy_ratio(np.array([sigma_um]))[0] == pytest.approx(energy(FINE_UM) / energy(COARSE_UM), rel=1e-6)


@pytest.mark.parametrize(
    ("sigma_um", "low", "high"),
    [
        pytest.param(0.0, 0.0, 0.8, id="sharp"),
        pytest.param(1.0, 0.5, 1.4, id="soft"),
        pytest.param(2.0, 1.4, 2.6, id="blurred"),
        pytest.param(2.5, 1.8, 3.2, id="more blurred"),
        pytest.param(3.0, 2.3, 3.7, id="much blurred"),
        pytest.param(5.0, 3.5, 6.5, id="out of focus"),
    ],
)
def test_planted_blur_is_measured_in_every_patch(patches, sigma_um, low, high):
    """A patch's own spectrum is not exactly 1/f^2: within 0.8 um, or a quarter where that is more.  So with the default bound
    of 1.5 um every patch that is blurred by 2.5 um or more is found, and none that is by 1 um or less.
    """
    measured = [blur_um(softened(patch, sigma_um), 0.5) for patch in patches]

    assert min(measured) >= low
    assert max(measured) <= high


def test_a_paler_stain_is_as_sharp(patches):
    """Half the stain halves the density everywhere, in both bands: the square root of the light."""
    pale = [(255 * np.sqrt(patch / 255)).round().astype(np.uint8) for patch in patches]

    np.testing.assert_allclose([blur_um(p, 0.5) for p in pale], [blur_um(p, 0.5) for p in patches], atol=0.1)


def test_an_even_patch_says_nothing():
    """Glass with the noise of a camera has no tissue to be sharp."""
    assert np.isnan(blur_um(glass(256, 256), 0.5))


def test_the_blurred_half_of_a_slide_is_found(tmp_path):
    """Blurred by 3 um to the right of column 1024; cells are 512 pixels wide, so the boundary is one of theirs."""
    shape = (1536, 2048)
    picture = glass(*shape)
    tissue = stroke(shape, (768, 60), (768, 1990), 1300)
    stain(picture, tissue)
    right = np.zeros(shape, dtype=bool)
    right[:, 1024:] = True
    blur(picture, right, 3 / MPP)
    with open_slide(write_slide(tmp_path / "slide.tiff", picture)) as slide:
        focus = measure(tissue[8::16, 8::16], 16, MPP, slide)

    found = focus.blurred((96, 128), 1.5)

    assert focus.cell == 32
    assert not found[:, :64].any()
    assert found[:, 64:].all()
