"""Bright discs of axial slices and the chains that they make."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from algorithms.contract.errors import DataError
from algorithms.coronary.aortic_discs import DISC_RADII_MM, Chain, ascending_chain, disc_chains, disc_votes
from algorithms.coronary.grid import Grid


def test_a_round_bright_disc_gets_the_votes_of_its_whole_edge():
    """The centre and radius that a disc was drawn with win; a pixel has 1 mm and radii are 1.5 mm apart."""
    y, x = np.mgrid[:70, :70]
    hu = np.where(np.hypot(y - 30, x - 40) < 13.5, 400.0, 0.0)
    votes = disc_votes(ndimage.gaussian_filter(hu, 0.7), 1.0)
    radius, found_y, found_x = np.unravel_index(votes.argmax(), votes.shape)

    assert max(abs(found_y - 30), abs(found_x - 40)) <= 1
    assert DISC_RADII_MM[radius] == pytest.approx(13.5, abs=1.5)


def test_a_chest_without_a_round_bright_vessel_is_refused():
    """Soft tissue alone: no disc votes, and the message says what to send."""
    flat = Grid(np.random.default_rng(1).normal(50, 10, (40, 60, 60)).astype(np.float32), (1.5,) * 3, (0.0, 0.0, 0.0))

    with pytest.raises(DataError, match="send a contrast-enhanced series"):
        ascending_chain(disc_chains(flat), flat)


def columns(**vessels: tuple[int, int, float, int, float]) -> tuple[Grid, dict[str, Chain]]:
    """Return a chest of 2 mm with upright vessels (y, x, HU, slices from above, score), and the chain of each."""
    chest = np.zeros((60, 80, 60), np.float32)
    chains = {}
    for name, (y, x, hu, count, score) in vessels.items():
        chest[60 - count :, y - 5 : y + 6, x - 5 : x + 6] = hu
        index = np.column_stack([np.arange(60 - count, 60), np.full(count, y), np.full(count, x)])
        chains[name] = Chain(index.astype(float), np.full(count, 13.0), score)
    return Grid(chest, (2.0,) * 3, (0.0, 0.0, 0.0)), chains


def test_the_pulmonary_artery_is_not_the_aorta_though_an_atrium_of_nearly_its_blood_lies_behind_it():
    """Discs as found in a phantom of moderate contrast (seed 108), whose pulmonary artery is as round as its aorta."""
    chest, chains = columns(
        pulmonary=(12, 40, 199.0, 38, 44.34),
        aorta=(25, 28, 359.0, 34, 43.56),
        atrium=(48, 8, 214.0, 38, 47.28),
        descending=(70, 40, 359.0, 60, 107.37),
    )

    assert ascending_chain(list(chains.values()), chest) is chains["aorta"]


def test_the_aorta_is_not_taken_for_the_descending_one_behind_an_outflow_tract_of_the_same_blood():
    """Both ventricles are filled alike in some scans, and the right one's outflow lies in front of the aorta."""
    chest, chains = columns(
        outflow=(10, 40, 350.0, 30, 25.0), aorta=(25, 28, 359.0, 34, 30.0), descending=(60, 40, 359.0, 60, 107.37)
    )

    assert ascending_chain(list(chains.values()), chest) is chains["aorta"]


def test_a_vein_in_which_contrast_agent_streams_is_not_the_aorta():
    """A superior vena cava that is rounder for longer than the aorta and as bright, with the descending aorta behind it."""
    chest, chains = columns(
        cava=(30, 8, 428.0, 57, 34.14), aorta=(25, 28, 411.0, 44, 25.37), descending=(66, 40, 422.0, 60, 55.89)
    )
    chest.values[:, 25:36, 3:14] *= (1 - 0.15 * np.sin(np.arange(60)))[:, None, None]

    assert ascending_chain(list(chains.values()), chest) is chains["aorta"]


def test_a_narrow_descending_aorta_speaks_for_the_ascending_one_too():
    """It is no rival itself; without it the outflow tract with an atrium behind it would win, as in the phantom of seed 705."""
    chest, chains = columns(
        outflow=(10, 45, 489.0, 40, 33.9), aorta=(25, 28, 480.0, 50, 45.0), atrium=(40, 8, 486.0, 37, 22.0),
        descending=(62, 40, 494.0, 60, 106.3),
    )  # fmt: skip
    chains["descending"] = replace(chains["descending"], radius_mm=np.full(60, 9.0))

    assert ascending_chain(list(chains.values()), chest) is chains["aorta"]


def test_the_narrow_aorta_of_a_small_woman_is_still_the_one_before_the_descending_aorta():
    """Aortas of 18 mm in a phantom (wide, seed 354): a wide atrium won, and the study was refused."""
    chest, chains = columns(
        aorta=(25, 28, 318.0, 42, 26.0), atrium=(30, 12, 217.0, 20, 8.0), descending=(54, 40, 315.0, 60, 60.0)
    )
    for name in ("aorta", "descending"):
        chains[name] = replace(chains[name], radius_mm=np.full(len(chains[name].index), 9.0))

    assert ascending_chain(list(chains.values()), chest) is chains["aorta"]


def test_a_chest_full_of_round_vessels_still_shows_its_aorta():
    """Six chains were longer than the aorta's in the phantom of seed 3; none of them has its own blood behind it."""
    chest = np.zeros((60, 100, 110), np.float32)
    y, x = np.mgrid[:100, :110]
    rivals = [(10, 12, 290.0), (10, 50, 345.0), (12, 95, 410.0), (40, 12, 580.0), (45, 95, 690.0), (85, 15, 240.0)]
    for at_y, at_x, hu in [*rivals, (88, 62, 490.0)]:
        chest[:, np.hypot(y - at_y, x - at_x) < 6] = hu
    chest[15:, np.hypot(y - 45, x - 52) < 7] = 490.0
    smooth = Grid(ndimage.gaussian_filter(chest, 0.7), (2.0,) * 3, (0.0, 0.0, 0.0))

    found = ascending_chain(disc_chains(smooth), smooth)

    assert found.index[:, 1:].mean(axis=0) == pytest.approx([45, 52], abs=1.5)
