"""Pictures of the flow show the jet and the shear where they are."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.image import imread

from algorithms.coronary.fields.streamlines import seeds, streamlines
from algorithms.coronary.fields.wall import wall_map
from algorithms.coronary.pictures import flow as pictures_flow
from tests.algorithms.coronary.fields.known_flow import throat

NOT_DRAWN = "this machine draws nothing off screen: libegl1, libgl1 and libegl-mesa0 are not installed"


@pytest.fixture(scope="module")
def scene():
    """Return wall, lines and openings of a flow through a stenosis 8 mm behind the inlet of a vessel of 20 mm."""
    lumen, cells, points = throat(0.2)
    lines = streamlines(cells, seeds(lumen.openings[0], 30, 0.3), 60)
    return wall_map(lumen, cells, points), lines, lumen.openings


def brightest_column(path):
    """Return where along the picture's width its yellow lies: the high end of both scales."""
    picture = imread(path)[..., :3][: -int(0.35 * 60)]  # without the colour bar below
    yellow = np.clip(np.minimum(picture[..., 0], picture[..., 1]) - picture[..., 2], 0, None)
    column = yellow.sum(axis=0)
    return float((column * np.arange(len(column))).sum() / column.sum() / len(column))


@pytest.mark.parametrize("what", ["speed", "shear"])
def test_the_throat_is_where_it_is(scene, tmp_path, monkeypatch, what):
    """8 of 20 mm from the inlet, which is on the left, with a margin of 1.2 mm on both sides."""
    monkeypatch.setattr(pictures_flow, "PIXELS_PER_IN", 60)
    wall, lines, openings = scene
    path = tmp_path / "picture.png"
    if what == "speed":
        drawn = pictures_flow.draw_streamlines(wall, lines, openings, path)
    else:
        drawn = pictures_flow.draw_wall_shear(wall, openings, path)
    if not drawn:
        pytest.skip(NOT_DRAWN)

    assert brightest_column(path) == pytest.approx((8 + 1.2) / 22.4, abs=0.04)


def test_lines_of_a_flow_without_an_eddy_pass_the_throat(scene):
    """Nearly all that start away from the wall reach the outlet, each at its share of the radius."""
    _, lines, openings = scene
    outlet = openings[1]
    ends = np.array([(line.points_mm[-1] - outlet.centre_mm) @ outlet.normal for line in lines])

    assert (ends > -0.5).mean() > 0.75
