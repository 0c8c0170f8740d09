"""Layers and rules that several networks share."""
