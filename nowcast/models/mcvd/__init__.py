"""MCVD: masked conditional video diffusion on pixels."""
