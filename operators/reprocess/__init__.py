"""Answering cases again whose answer is not what today's code, parameters and weights would give, and what that changed."""
