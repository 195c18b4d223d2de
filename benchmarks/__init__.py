"""One script per claim; each writes JSON with machine, commit and peers into ``results/``."""
