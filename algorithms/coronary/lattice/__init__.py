"""Blood flow in three dimensions on a sparse lattice: cells, collision, walls, openings, and the run to a steady state."""
