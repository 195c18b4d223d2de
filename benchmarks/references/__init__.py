"""Answers of other programs and other methods, to hold our solvers against."""
