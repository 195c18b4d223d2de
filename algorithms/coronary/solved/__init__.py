"""A flow in one geometry: solved, along its centrelines, in files, and what may be believed of it."""
