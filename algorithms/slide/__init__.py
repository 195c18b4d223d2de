"""Whole-slide images: their files, their pixels, their tissue, their tiles and what an encoder makes of these."""
