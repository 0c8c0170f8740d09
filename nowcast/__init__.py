"""Stores to trained models, ensembles, scores and pictures."""

__version__ = "0.1.0"
