"""PromptEmbed and PromptProjection."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from support.ops.oracles.arithmetic import Array, Indices, conv3x3
from support.ops.oracles.linear import norm_projection


def prompt_embed(
    labels: NDArray[np.uint8],
    ref_embeds: Array,
    w0: Array,
    b0: Array,
    w1: Array,
    b1: Array,
    w2: Array,
    b2: Array,
    w3: Array,
    b3: Array,
) -> Array:
    x = ref_embeds[labels]
    for weight, bias in ((w0, b0), (w1, b1), (w2, b2), (w3, b3)):
        x = np.maximum(conv3x3(x, weight, 2) + bias, 0)
    return x


def add_prompt(embed: Array, prompt: Array, offset: Indices, background: Array) -> Array:
    h, w, channels = embed.shape
    out = np.empty((h, w, channels))
    for i in range(h):
        for j in range(w):
            r, c = i - offset[0], j - offset[1]
            inside = 0 <= r < prompt.shape[0] and 0 <= c < prompt.shape[1]
            out[i, j] = embed[i, j] + (prompt[r, c] if inside else background)
    return out.reshape(h * w, channels)


def prompt_projection(
    embed: Array, prompt: Array, offset: Indices, background: Array, *weights_and_known: Array, epsilon: float
) -> tuple[Array, Array]:
    # The last three only say what is known already.
    x = add_prompt(embed, prompt, offset, background)
    return x, norm_projection(x, *weights_and_known[:-3], epsilon=epsilon)
