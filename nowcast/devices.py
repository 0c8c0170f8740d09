"""Where to compute, and in which precision."""

import torch


def best_device(device: str | None = None) -> str:
    """The device asked for, else a GPU where there is one, else the CPU."""
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def multiplies_bf16(device: str) -> bool:
    """Whether the processor multiplies bfloat16 natively, which is several times faster than fp32."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
