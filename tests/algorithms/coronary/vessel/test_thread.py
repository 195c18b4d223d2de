"""The thread through a lesion: a vessel leads on as it comes and goes, and blood is sought beside that, but not in calcium."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.coronary.vessel.cross_section import STEP_MM
from algorithms.coronary.vessel.thread import LONGEST_MM, RASTER, bridged_mm, brightest_way_mm, dim_parts

BLOOD_HU = 400.0


def sections(offset_mm: np.ndarray, radius_mm: float) -> np.ndarray:
    """Return sections in which the lumen, of Gaussian brightness, lies at ``offset_mm`` (N, 2)."""
    spoke = np.stack([np.cos(RASTER.spoke_rad), np.sin(RASTER.spoke_rad)], axis=1)
    place = RASTER.ring_mm[:, None, None] * spoke
    away = np.linalg.norm(place - offset_mm[:, None, None], axis=-1)
    return np.asarray(BLOOD_HU * np.exp(-((away / radius_mm) ** 2)))


def aside(count: int, most_mm: float) -> np.ndarray:
    """Return offsets that go aside and come back, (count, 2) mm."""
    return np.stack([most_mm * np.sin(np.linspace(0, np.pi, count)) ** 2, np.zeros(count)], axis=1)


@pytest.mark.parametrize("most_mm", [0.0, 0.6, 1.2])
def test_the_way_follows_a_faint_lumen_to_the_side(most_mm):
    """A third of the blood's brightness, over 16 mm, with noise."""
    true = aside(33, most_mm)
    noise = 30 * np.random.default_rng(3).standard_normal((33, len(RASTER.ring_mm), len(RASTER.spoke_rad)))
    values = sections(true, 0.5) / 3 + noise

    way = brightest_way_mm(values, np.zeros(values.shape), np.ones(values.shape), BLOOD_HU)

    assert np.linalg.norm(way - true, axis=1).max() < 0.5
    assert np.linalg.norm(way - true, axis=1).mean() < 0.25


def test_blood_is_not_sought_where_calcium_was_taken_off_nor_in_another_vessel():
    """On one side a brighter spot that is bloom, or belongs to a neighbour; the lumen on the other side is half as bright."""
    lumen, other = sections(np.tile([-0.8, 0.0], (20, 1)), 0.5) / 2, sections(np.tile([0.9, 0.0], (20, 1)), 0.5)

    by_bloom = brightest_way_mm(lumen + other, 2 * other, np.ones(other.shape), BLOOD_HU)
    by_weight = brightest_way_mm(lumen + other, 0 * other, (other < 40).astype(float), BLOOD_HU)

    assert by_bloom[:, 0].max() < -0.3
    assert by_weight[:, 0].max() < -0.3


def test_a_dim_part_is_found_with_its_surroundings_and_calcium_counts_as_dim():
    values, bloom = np.full((2, 60, len(RASTER.ring_mm), len(RASTER.spoke_rad)), [[[[BLOOD_HU]]], [[[0.0]]]])
    values[20:24] = 100.0
    bloom[26:30] = 300.0

    dim = np.flatnonzero(dim_parts(values, bloom, BLOOD_HU))

    assert dim.min() in (15, 16, 17)  # 2 mm before
    assert dim.max() in (32, 33, 34)  # 2 mm behind
    assert len(dim) == dim.max() - dim.min() + 1  # one lesion


def arc(radius_mm: float, length_mm: float) -> np.ndarray:
    angle = np.arange(0, length_mm, STEP_MM) / radius_mm
    return radius_mm * np.stack([np.cos(angle), np.sin(angle), np.zeros(len(angle))], axis=1)


def test_a_course_that_left_the_vessel_in_its_lesion_is_led_back_along_the_vessels_own_bend():
    true = arc(20.0, 40.0)
    dim = np.zeros(len(true), dtype=bool)
    dim[30:56] = True
    course = true.copy()
    course[31:55, 2] += 1.6 * np.sin(np.linspace(0, np.pi, 24)) ** 2

    assert np.linalg.norm(bridged_mm(course, dim) - true, axis=1).max() < 0.25  # straight across it would be 1.06


@pytest.mark.parametrize("part", [slice(0, 20), slice(60, 80), slice(10, 10 + round(LONGEST_MM / STEP_MM) + 2)])
def test_a_dim_part_at_an_end_or_longer_than_a_lesion_keeps_its_course(part):
    course = arc(20.0, 40.0) + 0.3 * np.random.default_rng(1).standard_normal((80, 3))
    dim = np.zeros(80, dtype=bool)
    dim[part] = True

    assert np.array_equal(bridged_mm(course, dim), course)
