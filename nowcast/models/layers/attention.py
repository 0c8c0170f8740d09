"""Multi-head attention, the one that all of our transformers share.

B: batch. n, m: queries, keys. d: width. d_k: width of a head.
"""

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d_k) + bias) v, of shape (B, heads, n, d_k) as q; the bias broadcasts to the scores."""
    if q.is_cuda:
        return scaled_dot_product_attention(q, k, v, attn_mask=None if bias is None else bias.to(q.dtype))
    # On processors the backward pass of the fused kernel was 44 % of a training step; plain products are faster.
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    return (scores if bias is None else scores + bias).softmax(-1) @ v


class Attention(nn.Module):
    """Self-attention, or cross-attention when keys and values of another sequence are given."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a sequence (B, m, d), each with shape (B, heads, m, d_k)."""
        return self._split(self.key(x)), self._split(self.value(x))

    def forward(
        self, x: Tensor, keys_values: tuple[Tensor, Tensor] | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """Attends from `x` with shape (B, n, d) to itself, or to `keys_values`; same shape."""
        k, v = self.keys_values(x) if keys_values is None else keys_values
        heads = attend(self._split(self.query(x)), k, v, bias)
        return self.out(heads.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
