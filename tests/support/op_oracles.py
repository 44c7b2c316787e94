"""What every op computes, once more and from its definition: slow, in float64 and in the plainest numpy there is.

Independent of the onnxscript functions, of the PyTorch forms and of the native kernels, which are all held to it. Names
and arguments as in `inter2former_onnx.models`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def silu(x: Array) -> Array:
    return x * sigmoid(x)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    return e / e.sum()


def layer_norm(x: Array, weight: Array, bias: Array, epsilon: float) -> Array:
    """Over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * weight + bias


def boundary_gather(x: Array, boundary: Indices, other: Indices) -> tuple[Array, Array]:
    return x[boundary], x[other]


def boundary_scatter(x_boundary: Array, x_other: Array, boundary: Indices, other: Indices) -> Array:
    out = np.full((len(boundary) + len(other), x_boundary.shape[1]), np.nan)
    for row, token in enumerate(boundary):
        out[token] = x_boundary[row]
    for row, token in enumerate(other):
        out[token] = x_other[row]
    return out


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


def norm_projection(
    x: Array, norm_weight: Array, norm_bias: Array, weight: Array, bias: Array, epsilon: float
) -> Array:
    return layer_norm(x, norm_weight, norm_bias, epsilon) @ weight.T + bias


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


def swiglu(
    y: Array, w1: Array, b1: Array, w2: Array, b2: Array, ln: tuple[Array, Array, float], w3: Array, b3: Array
) -> Array:
    """One token through one expert."""
    return w3 @ layer_norm(silu(w1 @ y + b1) * (w2 @ y + b2), *ln) + b3


def expert_scores(
    x: Array,
    norm_weight: Array,
    norm_bias: Array,
    expert_gate_weight: Array,
    expert_gate_bias: Array,
    expert_bias: Array,
    epsilon: float,
) -> Array:
    """[N, E] what the argmax over experts gets."""
    y = layer_norm(x, norm_weight, norm_bias, epsilon)
    return sigmoid(y @ expert_gate_weight.T + expert_gate_bias) + expert_bias


def hybrid_moe(
    x: Array,
    boundary: Indices,
    norm_weight: Array,
    norm_bias: Array,
    shared_w1: Array,
    shared_b1: Array,
    shared_w2: Array,
    shared_b2: Array,
    shared_ln_weight: Array,
    shared_ln_bias: Array,
    shared_w3: Array,
    shared_b3: Array,
    shared_gate_weight: Array,
    shared_gate_bias: Array,
    select_w1: Array,
    select_b1: Array,
    select_w2: Array,
    select_b2: Array,
    select_ln_weight: Array,
    select_ln_bias: Array,
    select_w3: Array,
    select_b3: Array,
    expert_gate_weight: Array,
    expert_gate_bias: Array,
    expert_bias: Array,
    epsilon: float,
) -> Array:
    out = np.empty_like(x)
    wanted = set(boundary.tolist())
    for token in range(len(x)):
        y = layer_norm(x[token], norm_weight, norm_bias, epsilon)
        shared_ln = (shared_ln_weight, shared_ln_bias, epsilon)
        shared = swiglu(y, shared_w1, shared_b1, shared_w2, shared_b2, shared_ln, shared_w3, shared_b3)
        if token not in wanted:
            out[token] = x[token] + shared
            continue
        scores = sigmoid(expert_gate_weight @ y + expert_gate_bias)
        ranked = (scores + expert_bias).tolist()
        e = ranked.index(max(ranked))
        gate = sigmoid(shared_gate_weight @ y + shared_gate_bias)[0]
        a, c = softmax(np.array([gate, scores[e]]))
        select_ln = (select_ln_weight, select_ln_bias, epsilon)
        selected = swiglu(
            y, select_w1[e], select_b1[e], select_w2[e], select_b2[e], select_ln, select_w3[e], select_b3[e]
        )
        out[token] = x[token] + a * shared + c * selected
    return out


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


def conv3x3(x: Array, weight: Array, stride: int) -> Array:
    """[H, W, Ci] -> [ceil(H / stride), ceil(W / stride), Co], zero padding 1, no bias."""
    h, w, _ = x.shape
    padded = np.zeros((h + 2, w + 2, x.shape[2]))
    padded[1:-1, 1:-1] = x
    out = np.zeros(((h - 1) // stride + 1, (w - 1) // stride + 1, weight.shape[0]))
    for dy in range(3):
        for dx in range(3):
            out += padded[dy : dy + h : stride, dx : dx + w : stride] @ weight[:, :, dy, dx].T
    return out


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


def localise(
    x: Array, grid: Indices, w0: Array, b0: Array, w1: Array, b1: Array, w2: Array, b2: Array, w3: Array, b3: Array
) -> Array:
    for weight, bias in ((w0, b0), (w1, b1), (w2, b2)):
        x = silu(x @ weight.T + bias)
    return (x @ w3.T + b3).reshape(int(grid[0]), int(grid[1]))


def local_box(localisation: Array, threshold: float) -> Indices:
    h, w = localisation.shape
    inside = [(i, j) for i in range(h) for j in range(w) if localisation[i, j] > threshold]
    if not inside:
        return np.array([0, 0, w, h])
    rows, columns = [i for i, _ in inside], [j for _, j in inside]
    return np.array([min(columns), min(rows), max(columns) + 1, max(rows) + 1])


def crop_tokens(x: Array, grid: Indices, box: Indices) -> Array:
    left, top, right, bottom = box
    return np.array([[x[i * grid[1] + j] for j in range(left, right)] for i in range(top, bottom)])


def cubic(distance: float) -> float:
    """The bicubic kernel with a = -0.75."""
    d, a = abs(distance), -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def double_rows(x: Array) -> Array:
    """[n, ...] -> [2n, ...], half-pixel centres, border replicated."""
    n = len(x)
    out = np.zeros((2 * n, *x.shape[1:]))
    for o in range(2 * n):
        position = (o + 0.5) / 2 - 0.5
        for i in range(int(np.floor(position)) - 1, int(np.floor(position)) + 3):
            out[o] += cubic(position - i) * x[min(max(i, 0), n - 1)]
    return out


def edge_term(terms: Array, rows: Array, columns: Array, corners: Array, box: Indices) -> Array:
    """What the edge map adds inside the box when everything outside it counts as zero."""
    left, top, right, bottom = box.tolist()
    s = terms.shape[0] // corners.shape[2]
    out = terms[s * top : s * bottom, s * left : s * right].copy()
    out[0] -= rows[0, top, s * left : s * right]
    out[-1] -= rows[1, bottom - 1, s * left : s * right]
    out[:, 0] -= columns[0, s * top : s * bottom, left]
    out[:, -1] -= columns[1, s * top : s * bottom, right - 1]
    out[0, 0] += corners[0, 0, top, left]
    out[0, -1] += corners[0, 1, top, right - 1]
    out[-1, 0] += corners[1, 0, bottom - 1, left]
    out[-1, -1] += corners[1, 1, bottom - 1, right - 1]
    return out


def local_upsample_2x(
    x: Array,
    box: Indices,
    edge: Array,
    edge_rows: Array,
    edge_columns: Array,
    edge_corners: Array,
    norm_weight: Array,
    norm_bias: Array,
    weight: Array,
    activation: int,
    epsilon: float,
) -> Array:
    centred = x - x.mean()
    normed = centred / np.sqrt((centred**2).mean() + epsilon) * norm_weight + norm_bias
    doubled = double_rows(double_rows(normed).swapaxes(0, 1)).swapaxes(0, 1)
    out = conv3x3(doubled, weight, 1) + edge_term(edge, edge_rows, edge_columns, edge_corners, box)
    return silu(out) if activation else out
