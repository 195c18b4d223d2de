"""The figures of trees and masks, on trees whose agreement can be reckoned by hand."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from algorithms.coronary.tree import Branch, Tree
from benchmarks.anatomy import lumen_agreement, tree_agreement
from benchmarks.anatomy_pictures import COLOURS, draw_trees


def branch(name: str, start: tuple[float, float, float], length_mm: float, radius_mm: float = 1.5) -> Branch:
    at = np.arange(0.0, length_mm + 0.25, 0.5)
    points = np.array(start) + np.column_stack([at, 0 * at, 0 * at])
    radius = np.full(len(at), radius_mm)
    return Branch(name, None, None, points, radius, radius, 0 * radius, np.ones(len(at), int))


def test_a_tree_agrees_with_itself():
    """Everything is found, on the line, and bears its name."""
    tree = Tree((branch("RCA", (0, 0, 0), 50), branch("LAD", (0, 40, 0), 60)))

    found = tree_agreement(tree, tree)

    assert (found["overlap"], found["distance_mm"], found["false_branches"], found["named_right"]) == (1.0, 0.0, 0, 1.0)
    assert found["missed"] == found["misnamed"] == {}


def test_half_a_vessel_a_stray_and_a_wrong_name_are_counted():
    """30 of 60 mm found under another name, and 30 mm of nothing: 30 + 30 of 60 + 60 mm overlap."""
    true = Tree((branch("LAD", (0, 0, 0), 60),))
    found = Tree((branch("D1", (0, 0.3, 0), 30), branch("OM1", (0, 30, 0), 30)))

    figures = tree_agreement(found, true)

    assert figures["overlap"] == pytest.approx(0.5, abs=0.02)
    assert figures["covered"] == pytest.approx(0.5, abs=0.03)
    assert figures["distance_mm"] == pytest.approx(0.3, abs=0.05)
    assert figures["false_branches"] == 1
    assert figures["named_right"] == 0
    assert list(figures["missed"]) == ["LAD"]
    assert list(figures["misnamed"]) == ["LAD -> D1"]


def test_a_thin_vessel_counts_neither_way():
    """Radius 0.5 mm is below what must be found: to follow it is no error and no merit."""
    thick, thin = branch("LAD", (0, 0, 0), 60), branch("D1", (0, 30, 0), 40, radius_mm=0.5)

    with_it = tree_agreement(Tree((thick, thin)), Tree((thick, thin)))
    without = tree_agreement(Tree((thick,)), Tree((thick, thin)))

    assert with_it["overlap"] == without["overlap"] == 1.0


def test_masks_two_voxels_apart():
    """Two blocks of ten voxels that share eight of each row: Dice 0.8, and surfaces a millimetre apart."""
    one, other = np.zeros((20, 20, 30), bool), np.zeros((20, 20, 30), bool)
    one[5:15, 5:15, 5:15] = other[5:15, 5:15, 7:17] = True

    figures = lumen_agreement(one, other, (0.5, 0.5, 0.5))

    assert figures["dice"] == pytest.approx(0.8)
    assert figures["hd95_mm"] == pytest.approx(1.0)
    assert lumen_agreement(one, np.zeros_like(one), (0.5, 0.5, 0.5))["dice"] == 0


def test_what_is_missed_and_what_is_not_there_is_drawn_in_its_colour(tmp_path):
    """Equal trees are grey alone; a lost branch is red, one too many amber."""
    whole = Tree((branch("LAD", (0, 0, 0), 60), branch("LCx", (0, 30, 20), 60)))
    part = Tree(whole.branches[:1])
    pairs = {"equal": (whole, whole), "missed": (part, whole), "not there": (whole, part)}

    for name, (found, true) in pairs.items():
        draw_trees(found, true, tmp_path / f"{name}.png")

        pixels = imread(tmp_path / f"{name}.png")[..., :3]
        near = {kind: np.abs(pixels - to_rgb(colour)).max(axis=2) < 0.01 for kind, colour in COLOURS.items()}
        assert {kind for kind, seen in near.items() if seen.sum() > 100} == {"found", name} - {"equal"}
