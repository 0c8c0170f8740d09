"""PVDM: network, stages and settings."""
