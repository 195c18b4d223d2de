"""A slide as pixels: decoding, windows at a scale, and what is not believed."""
