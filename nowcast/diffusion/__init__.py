"""Diffusion on plain tensors: what a denoiser is trained on (objectives) and how it is sampled (samplers)."""
