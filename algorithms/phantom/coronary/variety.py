"""What sets one phantom apart from the next beyond the seed's own draws: a declaration, its whole range, and named cases.

A ``Variety`` is one row of settings; its defaults are the plain phantom.  ``variety_of(difficulty, seed)`` turns the word on
the command line into one: ``easy``, ``moderate`` and ``hard`` are plain scans of rising noise, ``wide`` draws every field
over the range met in practice, and the others are cases that a benchmark names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

STREAM = 8
"""The seed's random stream from which ``wide`` draws; 0 to 7 are those of the plain phantom."""


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel: its point spread in the slice plane and the texture of its noise.

    Measured point spreads are Gaussian to a good approximation (Nickoloff and Riley, Med Phys 12:437 (1985)), so that the
    modulation transfer is one half at ``0.44 / fwhm_mm``.  ``overshoot`` is the share by which a sharp kernel lifts what a
    Gaussian of ``OVERSHOOT_MM`` would take away.
    """

    name: str  # as ConvolutionKernel says it
    fwhm_mm: float
    noise_peak_per_mm: float
    overshoot: float = 0.0


KERNELS = {
    "soft": Kernel("Bv36", 0.95, 0.22),
    "medium": Kernel("Bv40", 0.65, 0.32),
    "sharp": Kernel("Bv59", 0.50, 0.52, 0.45),
}
"""Point spreads and noise peaks are ours, in the order of the kernels compared by Solomon et al., Med Phys 39:6048 (2012)."""


@dataclass(frozen=True)
class Variety:
    """One scan's settings; lengths are mm, intensities Hounsfield units, the defaults those of the plain phantom."""

    noise_hu: float = 12.0
    """Standard deviation in the middle of the field."""
    contrast: float = 1.0
    """Blood's Hounsfield units over those that the seed draws (380 to 500)."""
    vein_contrast: float = 0.45
    """Cardiac veins' Hounsfield units over those of the aorta."""
    right_contrast: float | None = None
    """The right heart's Hounsfield units over those of the aorta; None draws 0.35 to 0.6."""
    kernel: str = "medium"
    blur: float = 1.0
    """Point spread in the plane over the kernel's own: focal spot, table of the maker, iterative reconstruction."""
    noise_grain: float = 1.0
    """Size of the noise's grain over the kernel's own; iterative reconstruction coarsens it."""
    noise_floor: float = 0.0
    """Noise power at frequency nothing over that of the ramp at its peak: filtered back-projection of one ideal slice has
    none; slices of finite thickness, iterative reconstruction and resampling leave some."""
    noise_fall: float = 0.0
    """Share by which noise is less at the rim of the field than in its middle, where rays cross the whole chest."""
    slice_step_mm: float | None = None
    """Distance between slices; None is that of the size (0.5 at ``full``).  Never less than a pixel."""
    slice_thickness_mm: float = 0.75
    """Full width at half maximum of the slice sensitivity profile."""
    field_mm: float | None = None
    """Width of the reconstructed field; None draws 200 to 218."""
    smear_mm: float = 0.0
    """Half the way over which the region of the right artery is smeared evenly (the plain ``hard`` scan)."""
    motion_mm: float = 0.0
    """How far the right artery goes during the half turn that makes an image; the others go less far."""
    step_mm: float = 0.0
    """Standard deviation, along each axis, of where the heart lay in one slab against the next (stair steps)."""
    slab_mm: float = 35.0
    """Height of what is scanned in one beat, where steps part the slabs."""
    slab_contrast: float = 0.0
    """Standard deviation of blood's Hounsfield units from slab to slab, as a share."""
    hardening: float = 0.0
    """Strength of beam hardening; 1 is usual for a scan without its correction."""
    fat_hu: float = -92.0
    """Epicardial fat; that under the skin is 13 lower."""
    muscle_hu: float = 55.0
    """Muscle of the chest."""
    lung_hu: float | None = None
    """Lung before its unevenness; None draws -870 to -810."""
    lung_texture_hu: float = 0.0
    """Standard deviation of a lung's own unevenness: vessels and bronchi too small to be drawn."""
    tissue_texture_hu: float = 0.0
    """The same of fat and muscle."""
    mixing: float = 0.0
    """Unevenness of blood in the right heart as a share; a third of it in the left one, a tenth in the aorta."""
    trabeculae_mm: float = 0.0
    """How far muscle stands out into both ventricles, one standard deviation."""
    oesophagus: str = "closed"
    """``closed``, ``air`` or ``fluid``: what its lumen holds."""
    fading_hu_per_cm: float = 0.0
    """Contrast lost per cm along an artery (Choi et al., JACC Cardiovasc Imaging 4:1149 (2011): 1.9 with a deviation of 4.3
    where nothing is tight)."""
    heart_scale: float = 1.0
    """Size of heart, root and vessels over what the seed draws."""
    wall_scale: float = 1.0
    """Thickness of the left ventricle's wall over what the seed draws."""
    dominance: str | None = None
    """``right``, ``left`` or ``co``; None draws it."""
    ostium: str = "usual"
    """Where the right artery begins: ``usual``, ``high`` above the sinotubular junction, or in the ``left`` sinus."""
    occlusion: bool = False
    """Whether a main artery is closed."""
    collateral: float = 0.75
    """Contrast beyond an occlusion over that before it; collaterals fill what lies there."""
    lead: bool = False
    """Whether leads of a pacemaker or defibrillator lie in the right heart."""
    stent: bool = False
    """Whether a main artery holds a stent."""
    graft: bool = False
    """Whether a vein graft bypasses an artery, and steel wires close the breastbone."""


DIFFICULTIES = {
    "easy": Variety(),
    "moderate": Variety(noise_hu=25.0, contrast=0.92, vein_contrast=0.55),
    "hard": Variety(noise_hu=40.0, contrast=0.80, vein_contrast=0.65, smear_mm=1.2),
}
"""The plain scans: how noisy they are, how much contrast is left, how bright the veins, how much the right artery moved."""

USUAL = Variety(
    noise_hu=22.0,
    vein_contrast=0.5,
    blur=1.25,
    noise_grain=1.4,
    noise_floor=0.3,
    noise_fall=0.25,
    hardening=0.7,
    lung_texture_hu=50.0,
    tissue_texture_hu=6.0,
    mixing=0.06,
    trabeculae_mm=2.0,
    oesophagus="air",
    fading_hu_per_cm=2.0,
)
"""A good routine scan with everything that every scan has; the named cases differ from it in what they are named for."""

CASES = {
    "usual": USUAL,
    "left-dominant": replace(USUAL, dominance="left"),
    "low-contrast": replace(USUAL, contrast=0.55, noise_hu=45.0, vein_contrast=0.75),
    "motion": replace(USUAL, motion_mm=6.0),
    "occlusion": replace(USUAL, occlusion=True),
    "high-ostium": replace(USUAL, ostium="high"),
    "left-sinus-ostium": replace(USUAL, ostium="left"),
    "lead": replace(USUAL, lead=True),
    "stent": replace(USUAL, stent=True),
    "graft": replace(USUAL, graft=True),
    "stair-steps": replace(USUAL, step_mm=0.9, slab_contrast=0.03),
    "anisotropic-sharp": replace(USUAL, kernel="sharp", blur=1.0, slice_step_mm=1.0, slice_thickness_mm=1.5, noise_hu=38.0),
}
"""The hard cases of the benchmark by name."""
WORDS = {
    "kernel": tuple(KERNELS), "dominance": (None, "right", "left", "co"), "oesophagus": ("closed", "air", "fluid"),
    "ostium": ("usual", "high", "left"),
}  # fmt: skip
"""What the settings that are words may say."""
NAMES = (*DIFFICULTIES, "wide", *CASES)
"""Every word that ``variety_of`` takes."""


def variety_of(difficulty: str, seed: int, settings: Mapping[str, str] | None = None) -> Variety:
    """Return the settings that ``difficulty`` (one of ``NAMES``) stands for, with ``settings`` (name to text) put over them.

    Raises
    ------
    ValueError
        If the difficulty, a setting's name or its value is none of those declared.
    """
    if difficulty not in NAMES:
        raise ValueError(f"difficulty must be one of {', '.join(NAMES)}")
    variety = wide(seed) if difficulty == "wide" else (DIFFICULTIES | CASES)[difficulty]
    kinds = {field.name: str(field.type) for field in fields(Variety)}
    for name, text in (settings or {}).items():
        if name not in kinds:
            raise ValueError(f"no setting {name}; there are {', '.join(kinds)}")
        variety = replace(variety, **{name: _value(name, kinds[name], text)})
    for name, words in WORDS.items():
        if getattr(variety, name) not in words:
            raise ValueError(f"{name} must be one of {', '.join(str(w) for w in words)}")
    return variety


def wide(seed: int) -> Variety:
    """Return settings drawn over the whole range met in practice; the same for one seed at every size."""
    rng = np.random.default_rng([seed, STREAM])
    kernel = str(rng.choice(list(KERNELS), p=[0.35, 0.4, 0.25]))
    step = float(rng.choice([0.4, 0.5, 0.6, 0.75, 1.0], p=[0.2, 0.35, 0.2, 0.15, 0.1]))
    return Variety(
        noise_hu=float(np.exp(rng.uniform(np.log(9.0), np.log(50.0)))),
        contrast=float(rng.uniform(0.55, 1.25)),
        vein_contrast=float(rng.uniform(0.3, 0.9)),
        right_contrast=float(rng.uniform(0.2, 1.15)),
        kernel=kernel,
        blur=float(rng.uniform(0.9, 1.2) if kernel == "soft" else rng.uniform(1.0, 1.9)),
        noise_grain=float(rng.uniform(1.0, 2.2)),
        noise_fall=float(rng.uniform(0.1, 0.4)),
        slice_step_mm=step,
        slice_thickness_mm=float(max(0.6, step * rng.uniform(1.0, 1.6))),
        field_mm=float(rng.uniform(165.0, 250.0)),
        motion_mm=float(rng.choice([0.0, rng.uniform(0.3, 1.5), rng.uniform(1.5, 6.0)], p=[0.4, 0.4, 0.2])),
        step_mm=float(rng.choice([0.0, rng.uniform(0.2, 1.2)], p=[0.6, 0.4])),
        slab_mm=float(rng.uniform(14.0, 40.0)),
        slab_contrast=float(rng.choice([0.0, rng.uniform(0.01, 0.05)])),
        hardening=float(rng.uniform(0.0, 1.5)),
        lung_texture_hu=float(rng.uniform(30.0, 90.0)),
        tissue_texture_hu=float(rng.uniform(3.0, 10.0)),
        mixing=float(rng.uniform(0.02, 0.2)),
        trabeculae_mm=float(rng.uniform(1.0, 3.0)),
        oesophagus=str(rng.choice(["closed", "air", "fluid"])),
        fading_hu_per_cm=float(max(rng.normal(2.0, 3.0), 0.0)),
        heart_scale=float(np.exp(rng.uniform(np.log(0.82), np.log(1.2)))),
        wall_scale=float(np.exp(rng.uniform(np.log(0.8), np.log(1.4)))),
        dominance=str(rng.choice(["right", "left", "co"], p=[0.7, 0.18, 0.12])),
        ostium=str(rng.choice(["usual", "high", "left"], p=[0.92, 0.05, 0.03])),
        occlusion=bool(rng.random() < 0.1),
        collateral=float(rng.uniform(0.55, 0.95)),
        lead=bool(rng.random() < 0.08),
        stent=bool(rng.random() < 0.08),
        graft=bool(rng.random() < 0.06),
        fat_hu=float(rng.uniform(-108.0, -76.0)),
        muscle_hu=float(rng.uniform(48.0, 78.0)),
        lung_hu=float(rng.uniform(-870.0, -730.0)),
        noise_floor=float(rng.uniform(0.0, 1.0)),
    )


def _value(name: str, kind: str, text: str) -> Any:
    """Return ``text`` as the declared ``kind`` of setting."""
    if "None" in kind and text == "none":
        return None
    if "bool" in kind:
        if text not in {"yes", "no"}:
            raise ValueError(f"{name} must be yes or no")
        return text == "yes"
    if "float" in kind:
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{name} must be a number") from None
    return text
