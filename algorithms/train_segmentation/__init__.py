"""How the networks that segment a coronary CT are made: data, training, evaluation, registry entry, promotion.

A training run is a case of a pipeline like any other (`pipeline`): its examination is a data set, its answer a model.
"""
