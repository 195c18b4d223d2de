"""Prostate biopsy slides and clinical variables to a risk with a treatment suggestion."""
