"""OpenFOAM as an independent solver of the same lumens and conditions, and as the way to clusters; optional at run time."""
