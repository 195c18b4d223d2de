"""What can be trained: what each network sees, what its channels mean, and how large it is.

Every channel is a probability of its own (no channel excludes another), so a study in which only some structures are labelled
teaches those channels and leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from algorithms.segmentation.architecture import Architecture
from algorithms.segmentation.entry import Input

CLIP_HU = (-250.0, 950.0)
"""Fat and calcium both keep their contrast to blood; lung and bone need none."""
MEAN_HU, DEVIATION_HU = 100.0, 250.0
"""Muscle and the step from it to blood: intensities of the order of 1."""
BLOOD_HU = 400.0
"""The aorta's blood as the fine network sees it in every scan: what is less bright is no artery."""

CHANNELS: Mapping[str, tuple[str, ...]] = {
    "coronary lumen": ("coronary lumen",),
    "calcified plaque": ("calcified plaque",),
    "other vessel": ("cardiac vein", "other vessel"),
    "wide blood": ("ascending aorta and root", "LV blood", "other blood pool"),
    "heart": ("heart",),
    "aorta": ("ascending aorta and root",),
    "LV myocardium": ("LV myocardium",),
    "LV blood": ("LV blood",),
    "other blood pool": ("other blood pool",),
    "left ostium": ("left ostium",),
    "right ostium": ("right ostium",),
    "coronary tree": ("coronary lumen",),
}
"""The labels that make up each channel: those of the phantom, and the words for a data set of one's own."""

LABELS = tuple(sorted({label for labels in CHANNELS.values() for label in labels}))
"""Every label that a study may have."""

OSTIA = ("left ostium", "right ostium")
"""Labels that are a place and not a region; their channel is a bell around it."""

THIN = ("coronary lumen", "coronary tree")
"""Channels that are trees of tubes and are judged along their centrelines too."""

SCATTERED = ("calcified plaque",)
"""Channels that are specks here and there: a distance of surfaces tells only how far off the speck lies that was missed, and
its mean over studies is better for a network that finds none at all in some of them."""


@dataclass(frozen=True)
class Task:
    """One network to be trained.

    ``margin_mm`` around the coronary tree is what its samples hold; 0 stands for the whole volume.  ``taught`` is the block
    (Z, Y, X) of a lesson, smaller than that of use, because a lesson needs four times the memory.  ``mirrors`` are the axes
    along which a block may be mirrored and still be anatomy.
    """

    name: str
    title: str
    channels: tuple[str, ...]
    input: Input
    taught: tuple[int, int, int]
    architecture: Architecture
    phantom_size: str
    margin_mm: float
    mirrors: tuple[int, ...]


COARSE = Task(
    "coarse",
    "Whole heart, coarse",
    ("heart", "aorta", "LV myocardium", "LV blood", "other blood pool", "left ostium", "right ostium", "coronary tree"),
    Input((2.0, 2.0, 2.0), (80, 128, 128), 8, CLIP_HU, MEAN_HU, DEVIATION_HU),
    (48, 80, 80),
    Architecture(outputs=8, width=12, levels=4),
    "small",
    0.0,
    (),  # a mirrored heart has its left ostium on the right
)

FINE = Task(
    "fine",
    "Coronary lumen, fine",
    ("coronary lumen", "calcified plaque", "other vessel", "wide blood"),
    # Blocks as large as a lesson: instance norms then see what they have learnt from, and few voxels off the tree are asked.
    Input((0.5, 0.5, 0.5), (64, 64, 64), 8, CLIP_HU, MEAN_HU, DEVIATION_HU, BLOOD_HU),
    (64, 64, 64),
    Architecture(outputs=4, width=12, levels=4),
    "medium",
    10.0,
    (0, 1, 2),  # within 32 mm a vessel beside muscle and fat is one either way round
)

TASKS: Mapping[str, Task] = {task.name: task for task in (COARSE, FINE)}
