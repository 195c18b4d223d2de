"""A slide as a file: TIFF directories, encoded tiles, formats, and what is said of it."""
