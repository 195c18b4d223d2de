"""From a lumen mask to named vessels with sub-voxel courses, radii and stenoses."""
