"""How much arithmetic clicks and encodings need, counted from the shapes that they really have: for roofline lines."""

from __future__ import annotations

from inter2former_onnx.models import ModelConfig


def decoder_gflop(
    config: ModelConfig, tokens: int, region_tokens: int, boundary: int, box_tokens: int, first: bool
) -> float:
    """Count the arithmetic of one decoder run, as the exact reformulations need it.

    Args:
        config: of the model.
        tokens: in the grid.
        region_tokens: in the region of interest.
        boundary: boundary tokens.
        box_tokens: tokens in the localised box.
        first: whether it is the first click, whose map has no region of interest.

    Returns:
        Multiply-adds times two, in GFLOP.
    """
    neck, c = config.neck, config.neck.embed_dim
    d, hidden, buckets = neck.attention_dim, neck.ffn_dim, 2**neck.code_size
    block = tokens * c * 3 * d  # projection to q, k, v
    block += boundary * tokens * 2 * d  # boundary attention: scores and values
    block += (tokens - boundary) * (2 * neck.code_size * d + buckets * (d + 1))  # BSQ attention over its buckets
    block += tokens * neck.code_size * d  # key codes
    block += tokens * d * c  # output projection
    block += tokens * 3 * c * hidden  # shared expert
    block += boundary * (3 * c * hidden + c * (neck.num_ffn_experts + 1))  # routed expert and gates
    total = neck.depth * block
    total -= (tokens if first else tokens - region_tokens) * c * 3 * d  # q, k and v that the encoder has computed
    if first:
        total -= boundary * tokens * 2 * d
    widths = [c, c // 4, c // 16, c // 64, 1]
    total += tokens * sum(before * after for before, after in zip(widths[:-1], widths[1:], strict=True))
    dims = [*reversed(config.edge_detector.dims), 1]
    for level, (before, after) in enumerate(zip(dims[:-1], dims[1:], strict=True)):
        pixels = box_tokens * 4**level  # at the level's lower resolution
        total += pixels * after * (9 * before + 120)  # nine taps, then separable bicubic upsampling of their products
    return 2 * total / 1e9


def encoder_gflop(config: ModelConfig, size: int) -> dict[str, float]:
    """Count the arithmetic of encoding an image.

    Convolutions are counted as they are defined; by Winograd's way they need fewer.

    Args:
        config: of the model.
        size: side of the model's input in pixels.

    Returns:
        Multiply-adds times two, in GFLOP, by part.
    """
    vit = config.backbone
    c, patch = vit.embed_dim, vit.patch_size
    grid = (size // patch) ** 2
    tokens = grid + sum((small // patch) ** 2 for small in vit.downsample_sizes)
    linear = tokens * c * c * (3 + 1 + 2 * vit.mlp_ratio)
    attention = tokens * 2 * vit.window_size**2 * c  # each token asks the places of its window
    fusion = grid * (1 + len(vit.downsample_sizes)) * c * vit.final_embed_dim
    total = vit.depth * (linear + attention) + len(vit.out_indices) * fusion
    total += tokens * patch**2 * vit.in_dim * c
    dims = config.edge_detector.dims
    edges = size**2 * 9 * 5 * dims[0]
    terms = 0
    outputs = [*reversed(dims[:-1]), 1]  # of the upsampling levels, coarse to fine
    for level, dim in enumerate(dims):
        pixels = (size >> level) ** 2
        edges += pixels * (2 * config.edge_detector.depth * 9 * dim * dim + dim * dim)
        if level + 1 < len(dims):
            edges += pixels // 4 * 9 * dim * dims[level + 1]
        terms += pixels * 9 * dim * outputs[len(dims) - 1 - level]
    return {"ViT": 2 * total / 1e9, "edge detector": 2 * edges / 1e9, "edge terms": 2 * terms / 1e9}
