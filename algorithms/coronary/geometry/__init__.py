"""The shape of a lumen in space, wherever it comes from."""
