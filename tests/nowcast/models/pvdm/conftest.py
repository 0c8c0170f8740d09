"""Modules of PVDM off their start."""

import pytest
import torch


@pytest.fixture(scope="session")
def shaken():
    """Moves every parameter of a module, so that none is zero any more."""

    @torch.no_grad()
    def shake(module: torch.nn.Module) -> torch.nn.Module:
        generator = torch.Generator().manual_seed(7)
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        return module

    return shake
