"""Coronary CT angiography to FFR-CT: one module per stage, declared in ``pipeline.py``."""
