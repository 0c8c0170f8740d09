"""Where to compute, and in which precision."""

import torch

from pipelines.errors import InputError


def best_device(device: str | None = None) -> str:
    """The device asked for, else a GPU where there is one, else the CPU.

    Raises:
        InputError: for a device that is not there.
    """
    there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if device and device not in there and not (device == "cuda" and len(there) > 1):
        raise InputError("no such device", got=device, expected=" or ".join(there))
    return device or ("cuda" if len(there) > 1 else "cpu")


def multiplies_bf16(device: str) -> bool:
    """Whether the processor multiplies bfloat16 natively, which is several times faster than fp32."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
