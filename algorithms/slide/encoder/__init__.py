"""Encoders: what turns a tile into a vector.  They are described in files (`description`), not in code."""
