"""PredLDM: network, stages and settings."""
