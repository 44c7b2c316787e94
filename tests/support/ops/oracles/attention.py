"""BoundaryAttention, FirstAttention, BSQAttention, HybridAttention, PromptedAttention and WindowAttention."""

from __future__ import annotations

import math

import numpy as np

from support.ops.oracles.arithmetic import Array, Indices, softmax


def rotate(x: Array, token: int, columns: int, freqs: Array) -> Array:
    """One token's head: channels (2j, 2j + 1) of the first half turn by row * freqs[j], of the second by the column."""
    row, column = divmod(token, columns)
    out = np.empty_like(x)
    quarter = len(freqs)
    for pair in range(2 * quarter):
        # Rounded to float32 as all forms do: at large positions the angle's last digits matter.
        angle = float(np.float32((row if pair < quarter else column) * freqs[pair % quarter]))
        first, second = x[2 * pair], x[2 * pair + 1]
        out[2 * pair] = first * np.cos(angle) + second * np.sin(angle)
        out[2 * pair + 1] = second * np.cos(angle) - first * np.sin(angle)
    return out


def boundary_scores(q: Array, k: Array, boundary: Indices, grid: Indices, freqs: Array, num_heads: int) -> Array:
    """[heads, Nb, N] what the softmax of boundary attention gets."""
    head = q.shape[1] // num_heads
    scores = np.empty((num_heads, len(q), len(k)))
    for n in range(num_heads):
        part = slice(n * head, (n + 1) * head)
        keys = [rotate(k[i, part], i, int(grid[1]), freqs) for i in range(len(k))]
        for row, token in enumerate(boundary):
            query = rotate(q[row, part], int(token), int(grid[1]), freqs)
            for i, key in enumerate(keys):
                scores[n, row, i] = query @ key * head**-0.5
    return scores


def boundary_attention(
    q: Array, k: Array, v: Array, boundary: Indices, grid: Indices, freqs: Array, num_heads: int
) -> Array:
    scores = boundary_scores(q, k, boundary, grid, freqs, num_heads)
    head = q.shape[1] // num_heads
    out = np.empty_like(q)
    for n in range(num_heads):
        for row in range(len(q)):
            out[row, n * head : (n + 1) * head] = softmax(scores[n, row]) @ v[:, n * head : (n + 1) * head]
    return out


def first_attention(qkv: Array, grid: Indices, freqs: Array, num_heads: int) -> tuple[Array, Array]:
    q, k, v = np.split(qkv, 3, axis=1)
    tokens = np.arange(len(q))
    scores = boundary_scores(q, k, tokens, grid, freqs, num_heads)
    largest = scores.max(2, initial=-np.inf)
    lse = largest + np.log(np.exp(scores - largest[:, :, None]).sum(2))
    return boundary_attention(q, k, v, tokens, grid, freqs, num_heads), lse.T


def bsq_scores(
    q: Array, k: Array, code_weight: Array, code_bias: Array, codebook: Array, num_heads: int
) -> tuple[Array, Indices]:
    """[heads, No, N] what a softmax over keys, each replaced by its bucket's, gets; and every key's bucket [N]."""
    size = len(code_bias)
    head = q.shape[1] // num_heads
    bits = (k @ code_weight.T + code_bias) >= 0
    keys = np.array([sum(codebook[b] if token[b] else codebook[size + b] for b in range(size)) for token in bits])
    buckets = np.array([int("".join("1" if bit else "0" for bit in token), 2) for token in bits])
    scores = np.empty((num_heads, len(q), len(k)))
    for n in range(num_heads):
        part = slice(n * head, (n + 1) * head)
        scores[n] = q[:, part] @ keys[:, part].T * head**-0.5
    return scores, buckets


def bsq_attention(
    q: Array, k: Array, v: Array, code_weight: Array, code_bias: Array, codebook: Array, num_heads: int
) -> Array:
    # Summing over buckets what their tokens share is the same as attention over the tokens.
    scores, _ = bsq_scores(q, k, code_weight, code_bias, codebook, num_heads)
    head = q.shape[1] // num_heads
    out = np.empty_like(q)
    for n in range(num_heads):
        for row in range(len(q)):
            out[row, n * head : (n + 1) * head] = softmax(scores[n, row]) @ v[:, n * head : (n + 1) * head]
    return out


def hybrid_attention(
    x: Array,
    qkv: Array,
    boundary: Indices,
    other: Indices,
    grid: Indices,
    freqs: Array,
    code_weight: Array,
    code_bias: Array,
    codebook: Array,
    proj_weight: Array,
    proj_bias: Array,
    num_heads: int,
) -> Array:
    q, k, v = np.split(qkv, 3, axis=1)
    inner = np.empty_like(q)
    inner[boundary] = boundary_attention(q[boundary], k, v, boundary, grid, freqs, num_heads)
    inner[other] = bsq_attention(q[other], k, v, code_weight, code_bias, codebook, num_heads)
    return x + inner @ proj_weight.T + proj_bias


def prompted_attention(*inputs: Array, num_heads: int) -> Array:
    # The last four only say what is known already.
    return hybrid_attention(*inputs[:-4], num_heads=num_heads)


def turned(x: Array, cos: Array, sin: Array) -> Array:
    """Channels (2j, 2j + 1) turn by the angles whose cosines and sines are given for both."""
    partners = np.empty_like(x)
    partners[..., 0::2], partners[..., 1::2] = x[..., 1::2], -x[..., 0::2]
    return x * cos + partners * sin


def window_attention(
    qkv: Array, padding: Array, tokens: Indices, positions: Indices, cos: Array, sin: Array, num_heads: int
) -> Array:
    windows, _, area, head = cos.shape
    rows = np.concatenate([qkv, padding[None]])[tokens]
    channels = qkv.shape[1] // 3
    out = np.empty((windows * area, channels))
    for window in range(windows):
        inside = slice(window * area, (window + 1) * area)
        for n in range(num_heads):
            q, k, v = (rows[inside, part * channels + n * head :][:, :head] for part in range(3))
            q, k = (turned(x, cos[window, 0], sin[window, 0]) for x in (q, k))
            scores = q @ k.T / math.sqrt(head)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            out[inside, n * head : (n + 1) * head] = weights / weights.sum(-1, keepdims=True) @ v
    return out[positions]
