"""An engineer's centrelines become a tree, or a sentence that says what is wrong with them."""

from __future__ import annotations

import copy

import pytest

from algorithms.contract.errors import DataError
from algorithms.coronary.geometry.centreline_file import read_centreline_csv, tree_of_document

CSV = """branch,parent,x_mm,y_mm,z_mm,radius_mm
side,main,0,0,5,1.0
side,main,0,8,9,0.9
main,,0,0,0,1.5
main,,0,0,10,1.5
"""

DOCUMENT = {
    "length_unit": "mm",
    "branches": [
        {"name": "main", "parent": None, "points": [[0, 0, 0], [0, 0, 10]], "radius": [1.5, 1.5]},
        {"name": "side", "parent": "main", "points": [[0, 0.2, 5], [0, 8, 9]], "radius": [1.0, 0.9]},
    ],
}


def test_a_side_branch_is_joined_to_its_parent(tmp_path):
    """Whatever the order of the rows; two points 10 mm apart are a vessel, and the side branch finds its place between."""
    path = tmp_path / "tree.csv"
    path.write_text(CSV)
    tree = read_centreline_csv(path)
    main, side = tree.branches

    assert (main.name, side.name, side.parent) == ("main", "side", 0)
    assert main.points_mm[side.parent_point] == pytest.approx([0, 0, 5], abs=0.4)
    assert side.points_mm[0] == pytest.approx(main.points_mm[side.parent_point])
    assert side.points_mm[-1] == pytest.approx([0, 8, 9])
    assert side.radius_mm[[0, -1]] == pytest.approx([1.0, 0.9])


def test_metres_are_read_as_metres():
    """The same tree, a thousandth of the numbers, and the unit said."""
    document = copy.deepcopy(DOCUMENT)
    document["length_unit"] = "m"
    for entry in document["branches"]:
        entry["points"] = [[x / 1000 for x in point] for point in entry["points"]]
        entry["radius"] = [r / 1000 for r in entry["radius"]]

    assert tree_of_document(document).branches[0].points_mm == pytest.approx(tree_of_document(DOCUMENT).branches[0].points_mm)


def changed(**entry):
    """Return the document with some fields of its side branch changed."""
    document = copy.deepcopy(DOCUMENT)
    document["branches"][1] |= entry
    return document


@pytest.mark.parametrize(
    ("document", "said"),
    [
        pytest.param({"branches": []}, "'length_unit' is a required property", id="no unit"),
        pytest.param(DOCUMENT | {"length_unit": "cm"}, r"\$.length_unit: 'cm' is not one of", id="unknown unit"),
        pytest.param(changed(parent="trunk"), "side names parent trunk", id="unknown parent"),
        pytest.param(changed(parent="side"), "side names parent side", id="own parent"),
        pytest.param(changed(name="main"), "1 names for 2 branches", id="two of a name"),
        pytest.param(changed(points=[[0, 5, 5], [0, 8, 9]]), "starts 5 mm from the centreline of its parent", id="apart"),
        pytest.param(changed(radius=[1.0, 0.9, 0.8]), "2 points and 3 radii", id="lengths"),
        pytest.param(changed(radius=[1.0, -0.9]), "side has a radius of -0.9 mm", id="negative radius"),
        pytest.param(changed(points=[[0, 0, 5], [0, 0, 5]]), "side has no length", id="no length"),
        pytest.param(changed(points=[[0, 0], [0, 0, 5]]), r"points\[0\]: \[0, 0\] is too short", id="flat"),
    ],
)
def test_what_is_no_tree_is_refused(document, said):
    """Each message names the branch or the place in the file."""
    with pytest.raises(DataError, match=said):
        tree_of_document(document)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(CSV.replace("radius_mm", "diameter"), "lacks the columns radius_mm", id="column"),
        pytest.param(CSV.replace("1.0", "wide"), "line 2: a coordinate or radius is no number", id="word"),
        pytest.param("branch,parent,x_mm,y_mm,z_mm,radius_mm\n", "0 names for 0 branches", id="empty"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, text, said):
    """The line is that of the file, counted from 1 with its header."""
    path = tmp_path / "tree.csv"
    path.write_text(text)

    with pytest.raises(DataError, match=said):
        read_centreline_csv(path)
