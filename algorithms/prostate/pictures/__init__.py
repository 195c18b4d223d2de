"""Pictures of the prostate report: slides, attention, tiles, incidence."""
