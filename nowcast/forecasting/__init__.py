"""Forecasts of stores and of files of radar, written to disk."""
