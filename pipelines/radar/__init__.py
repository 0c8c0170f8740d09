"""Radar of other services: formats, grids and the plan of a store."""
