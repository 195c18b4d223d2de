"""Synthetic examinations with their truth, for the demo, the tests and the training.  Imports the contract only."""
