"""What reprocessing changed: answers of the same cases set beside each other, and the report on it.

It knows no diagnostic: which values are compared is declared by each pipeline (:class:`algorithms.contract.pipeline.Compared`).
"""
