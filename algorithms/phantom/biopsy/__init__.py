"""Synthetic men with prostate cancer: their variables and fate, their tissue, and biopsy slides that name them."""
