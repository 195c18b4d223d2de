"""A slide as tissue: overview, mask, pen, folds, focus, verdict, and the grid of tiles."""
