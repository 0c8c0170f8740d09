"""Diffusion on plain tensors: training targets of a denoiser (objectives) and ways to sample it (samplers)."""
