"""The optimisers of `nowcast train`, each one or more torch optimisers that step together."""

from torch import nn
from torch.optim import Adam, AdamW, Muon, Optimizer


def build_optimizers(kind: str, module: nn.Module, rate: float) -> list[Optimizer]:
    """The optimisers of the parameters that are trained.

    Args:
        kind: adam; adamw; or muon: Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/), its steps as
            large as AdamW's, on matrices, and AdamW on the rest: biases, tables and convolutions.
        module: Its parameters that require a gradient are trained.
        rate: Learning rate.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if kind != "muon":
        return [{"adam": Adam, "adamw": AdamW}[kind](parameters, lr=rate)]
    matrices = [parameter for parameter in parameters if parameter.ndim == 2]
    rest = [parameter for parameter in parameters if parameter.ndim != 2]
    muon = [Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")] if matrices else []
    return [*muon, *([AdamW(rest, lr=rate)] if rest else [])]
