"""Bright discs of axial slices and the chains that they make."""

import numpy as np
import pytest
from scipy import ndimage

from algorithms.contract.errors import DataError
from algorithms.coronary.aortic_discs import DISC_RADII_MM, ascending_chain, disc_chains, disc_votes
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
