"""Stores to trained models, ensembles, scores and pictures."""

from pipelines import __version__ as __version__
