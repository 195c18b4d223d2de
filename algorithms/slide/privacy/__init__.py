"""A slide without its patient: the copy, what is searched in it, and the proof."""
