"""BSQ attention (docs/model.md 7): attention over binary-quantised key buckets, O(N) in the number of tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .weights import LinearWeights


class BSQWeights(NamedTuple):
    """What buckets are made with.

    Attributes:
        code: of the projection to code bits, [B, D] and [B].
        codebook: [2B, D], see `bucket_keys`.
    """

    code: LinearWeights
    codebook: Tensor


def bucket_index(k: Tensor, code: LinearWeights) -> Tensor:
    """Find the bucket of every key: its code bits as a number, first bit most significant.

    Args:
        k: [N, D].
        code: see BSQWeights.

    Returns:
        int64 [N], 0 <= index < 2^B.
    """
    bits = (k @ code.weight.T + code.bias) >= 0
    weights = 2 ** torch.arange(code.weight.shape[0] - 1, -1, -1, device=k.device)
    return (bits * weights).sum(1)


def bucket_keys(codebook: Tensor) -> Tensor:
    """Sum up the key of every bucket: over its bits, codebook[b] if the bit is set, else codebook[B + b].

    Args:
        codebook: [2B, D].

    Returns:
        [2^B, D]
    """
    size = codebook.shape[0] // 2
    shifts = torch.arange(size - 1, -1, -1, device=codebook.device)
    bits = (torch.arange(2**size, device=codebook.device)[:, None] >> shifts) & 1
    bits = bits.to(codebook.dtype)
    return bits @ codebook[:size] + (1 - bits) @ codebook[size:]


def bsq_attention(q: Tensor, k: Tensor, v: Tensor, weights: BSQWeights, num_heads: int) -> Tensor:
    """Attend to all tokens with every key replaced by the key of its bucket.

    Args:
        q: [No, D] queries.
        k, v: [N, D] of all tokens.
        weights: of the buckets.
        num_heads: D splits into this many heads; the code covers all D channels.

    Returns:
        [No, D]: per head sum_m e^(s q.K_m) V_m / sum_m e^(s q.K_m) c_m over occupied buckets m, where V_m is the sum
        of the values in the bucket, c_m their number and s = (D / num_heads)^-0.5.
    """
    keys = bucket_keys(weights.codebook)
    index = bucket_index(k, weights.code)
    values = v.new_zeros(keys.shape[0], v.shape[1]).index_add(0, index, v)
    counts = torch.bincount(index, minlength=keys.shape[0])
    head_dim = v.shape[1] // num_heads
    q, keys, values = (t.unflatten(1, (num_heads, head_dim)).transpose(0, 1) for t in (q, keys, values))
    scores = q @ keys.transpose(1, 2) * head_dim**-0.5
    scores = scores.masked_fill(counts == 0, -torch.inf)
    shares = torch.exp(scores - scores.amax(-1, keepdim=True))
    out = (shares @ values) / (shares @ counts.to(v.dtype))[..., None]
    return out.transpose(0, 1).flatten(1)


class BSQAttention(nn.Module):
    """Holds the code projection and the codebook under their published names."""

    def __init__(self, dim: int, code_size: int) -> None:
        super().__init__()
        self.codebook = nn.Parameter(torch.zeros(2 * code_size, dim))
        self.code_proj = nn.Linear(dim, code_size)

    @property
    def weights(self) -> BSQWeights:
        """The parameters, as `bsq_attention` takes them."""
        return BSQWeights(LinearWeights.of(self.code_proj), self.codebook)
