"""The three graphs of a bundle as PyTorch modules: what `torch.onnx.export` traces.

Their inputs and outputs are the contract between the bundle and the runtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..models import ImageFeatures, Inter2Former
from ..models.custom_op import exporting
from ..models.dynamic_hybrid_attention import UnclickedBlock
from ..models.dynamic_local_upsampling import crop_tokens, edge_terms, local_box, local_upsample_2x
from ..models.edge_detector import edge_taps, fold_lateral
from ..runtime.geometry import PATCH_SIZE

LEVELS = 4
EDGE_KINDS = ("edge{}", "edge_rows{}", "edge_columns{}", "edge_corners{}")
Shape = tuple[str | int, ...]
Dynamic = dict[int, Any]  # axis to torch.export.Dim
EDGE_NAMES = tuple(kind.format(level) for level in range(LEVELS) for kind in EDGE_KINDS)
UNCLICKED_NAMES = ("background_qkv", "first_qkv", "first_attention", "first_lse")  # the fields of UnclickedBlock


def encoder_outputs(model: Inter2Former, features: ImageFeatures) -> tuple[Tensor, ...]:
    """Compute everything about an image that does not depend on clicks.

    Args:
        model: whose weights.
        features: of the image, `embed` [C, h, w].

    Returns:
        embed [h, w, C]; what the first block makes of it (named `UNCLICKED_NAMES`); and then, level by level, what
        `edge_terms` makes of the edge maps (named `EDGE_NAMES`).
    """
    terms: list[Tensor] = []
    for level, (upsampler, edge) in enumerate(zip(model.decode_head.levels, features.edges, strict=True)):
        conv = upsampler.conv
        assert conv.bias is not None
        terms += edge_terms(edge, conv.weight, conv.bias, 2 ** (level + 1))
    embed = features.embed.permute(1, 2, 0)
    return (embed, *model.neck.unclicked(embed), *terms)


class EncoderGraph(nn.Module):
    """An 8-bit image to everything about it that does not depend on clicks."""

    def __init__(self, model: Inter2Former) -> None:
        super().__init__()
        self.model = model
        geometry = model.config.geometry
        model.backbone.fold_constants()
        self.plans = None  # planned in the graph, for every image's own grid
        if geometry.mode == "square":
            with torch.no_grad():
                self.plans = model.backbone.plans(geometry.size, geometry.size)
        edge_detector, levels = model.edge_detector, model.decode_head.levels
        laterals = list(edge_detector.lateral_convs)[::-1]
        self.taps: list[tuple[Tensor, Tensor]] = []
        with torch.no_grad():
            for lateral, level in zip(laterals, levels, strict=True):
                assert isinstance(lateral, nn.Conv2d)
                self.taps.append(fold_lateral(lateral, level.conv))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Encode an image: uint8 [H, W, 3], RGB -> see `encoder_outputs`."""
        inputs = self.model.preprocess(image)
        if not exporting():
            return encoder_outputs(self.model, self.model.encode(inputs, self.plans))
        embed = self.model.backbone(inputs, self.plans)[0].permute(1, 2, 0)
        return embed, *self.model.neck.unclicked(embed), *self.edge_outputs(inputs)

    def edge_outputs(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute the edge terms of every level as ops of a graph.

        Args:
            inputs: float32 [1, 3, H, W], the normalised image.

        Returns:
            Four tensors a level, coarse to fine, named `EDGE_NAMES`; see `edge_taps`.
        """
        terms: list[Tensor] = []
        pyramid = self.model.edge_detector.pyramid(inputs)[::-1]
        for index, (x, taps, level) in enumerate(zip(pyramid, self.taps, self.model.decode_head.levels, strict=True)):
            assert level.conv.bias is not None
            terms += edge_taps(x, *taps, level.conv.bias, 2 ** (index + 1))
        return tuple(terms)


class PromptGraph(nn.Module):
    """The label map's region of interest to prompt tokens."""

    def __init__(self, model: Inter2Former) -> None:
        super().__init__()
        self.neck = model.neck

    def forward(self, labels: Tensor) -> Tensor:
        """Embed the labels of a region: uint8 [16 rh, 16 rw] -> [rh, rw, C]."""
        return self.neck.embed_labels(labels)


class DecoderGraph(nn.Module):
    """Tokens to a mask: dynamic hybrid attention, mixture of experts, localisation, local upsampling."""

    background: Tensor

    def __init__(self, model: Inter2Former) -> None:
        super().__init__()
        self.neck = model.neck
        self.head = model.decode_head
        with torch.no_grad():
            self.register_buffer("background", model.neck.background())

    def forward(
        self,
        embed: Tensor,
        prompt: Tensor,
        offset: Tensor,
        boundary: Tensor,
        other: Tensor,
        changed: Tensor,
        unclicked: list[Tensor],
        edges: list[Tensor],
        threshold: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw the mask of a label map inside the box that it is localised in.

        Args:
            embed: [h, w, C] image embedding.
            prompt: [rh, rw, C] prompt tokens of the region of interest.
            offset: int64 [2], token row and column of the region's upper left.
            boundary, other: int64 [Nb], [No] token indices of the two routes, ascending; Nb + No = h w.
            changed: int64 [n], ascending, the tokens whose prompt is not the unclicked map's.
            unclicked: [h w, 3D], [h w, 3D], [h w, D] and [h w, heads], named `UNCLICKED_NAMES`.
            edges: four tensors a level (see `edge_terms`), named `EDGE_NAMES`.
            threshold: [], of the localisation logits.

        Returns:
            logits [16 (b - t), 16 (r - l), 1] inside the box, the box int64 [4] (l, t, r, b) in tokens and the
            localisation logits [h, w].
        """
        grid = torch.cat([torch.tensor([embed.shape[0]]), torch.tensor([embed.shape[1]])])
        known = (UnclickedBlock(*unclicked), changed)
        x = self.neck.attend_prompted(embed, prompt, offset, self.background, boundary, other, grid, *known)
        localisation = self.head.localise(x, grid)
        box = local_box(localisation, threshold)
        crop = crop_tokens(x, grid, box)
        for level, upsampler in enumerate(self.head.levels):
            edge, rows, columns, corners = edges[4 * level : 4 * level + 4]
            norm, weight = upsampler.norm, upsampler.conv.weight
            crop = local_upsample_2x(
                crop,
                box,
                edge,
                rows,
                columns,
                corners,
                norm.weight,
                norm.bias,
                weight,
                int(upsampler.activation),
                norm.eps,
            )
        return crop, box, localisation  # a squeeze would copy the whole map


@dataclass(frozen=True)
class GraphSpec:
    """How one graph is traced and what its tensors are called.

    Attributes:
        module: what is traced.
        arguments: what it is traced with.
        dynamic: for each argument, the axes whose size varies.
        inputs, outputs: names and shapes as they appear in the file; a dimension that varies has a name.
    """

    module: nn.Module
    arguments: tuple[Any, ...]
    dynamic: tuple[Any, ...]
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]


def encoder_spec(model: Inter2Former) -> GraphSpec:
    """Describe the encoder, for images of any size."""
    image = torch.zeros(96, 80, 3, dtype=torch.uint8)
    dynamic = ({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},)
    rows: int | str = "rows"
    columns: int | str = "columns"
    tokens: int | str = "rows*columns"
    if model.config.geometry.mode == "square":
        rows = columns = model.config.geometry.size // PATCH_SIZE
        tokens = rows * columns
    embed = {"embed": (rows, columns, model.config.decode_head.embed_dim)}
    outputs = {**embed, **_unclicked_shapes(model, tokens), **_edge_shapes(model, rows, columns)}
    return GraphSpec(EncoderGraph(model), (image,), dynamic, {"image": ("height", "width", 3)}, outputs)


def prompt_spec(model: Inter2Former) -> GraphSpec:
    """Describe the prompt embedding, for regions of any size."""
    rows, columns = torch.export.Dim("region_rows", min=1), torch.export.Dim("region_columns", min=1)
    labels = torch.zeros(3 * PATCH_SIZE, 5 * PATCH_SIZE, dtype=torch.uint8)
    dynamic = ({0: PATCH_SIZE * rows, 1: PATCH_SIZE * columns},)
    dims = model.config.neck.embed_dim
    inputs: dict[str, Shape] = {"labels": ("region_height", "region_width")}
    return GraphSpec(
        PromptGraph(model), (labels,), dynamic, inputs, {"prompt": ("region_rows", "region_columns", dims)}
    )


def decoder_spec(model: Inter2Former) -> GraphSpec:
    """Describe the decoder, for any token grid, region, split of the tokens and box."""
    # The traced sizes are all different so that no two dimensions are taken for one.
    h, w, c = 6, 7, model.config.neck.embed_dim
    named_unclicked = _unclicked_shapes(model, "rows*columns")
    unclicked = [torch.zeros([int(size) for size in shape]) for shape in _unclicked_shapes(model, h * w).values()]
    named = _edge_shapes(model, "rows", "columns")
    edges = [torch.zeros([int(size) for size in shape]) for shape in _edge_shapes(model, h, w).values()]
    arguments = (
        torch.zeros(h, w, c),
        torch.zeros(3, 4, c),
        torch.zeros(2, dtype=torch.int64),
        torch.arange(10),
        torch.arange(10, h * w),
        torch.arange(9),
        unclicked,
        edges,
        torch.tensor(model.config.decode_head.threshold),
    )
    varies = torch.export.Dim.DYNAMIC
    plane: Dynamic = {0: varies, 1: varies}
    edge_planes = [
        {axis: varies for axis, size in enumerate(shape) if isinstance(size, str)} for shape in named.values()
    ]
    line: Dynamic = {0: varies}
    lists = (line, line, line, [line] * len(unclicked))
    dynamic: tuple[Dynamic | list[Dynamic], ...] = (plane, plane, {}, *lists, edge_planes, {})
    inputs: dict[str, Shape] = {
        "embed": ("rows", "columns", c),
        "prompt": ("region_rows", "region_columns", c),
        "offset": (2,),
        "boundary": ("boundary_tokens",),
        "other": ("other_tokens",),
        "changed": ("changed_tokens",),
        **named_unclicked,
        **named,
        "threshold": (),
    }
    outputs: dict[str, Shape] = {
        "logits": ("box_height", "box_width", 1),
        "box": (4,),
        "localisation": ("rows", "columns"),
    }
    return GraphSpec(DecoderGraph(model), arguments, dynamic, inputs, outputs)


def _unclicked_shapes(model: Inter2Former, tokens: int | str) -> dict[str, Shape]:
    """Give the shapes of the first block's part of an encoded image for a number of tokens or its name."""
    neck = model.config.neck
    columns = (3 * neck.attention_dim, 3 * neck.attention_dim, neck.attention_dim, neck.attention_heads)
    return {name: (tokens, width) for name, width in zip(UNCLICKED_NAMES, columns, strict=True)}


def _edge_shapes(model: Inter2Former, rows: int | str, columns: int | str) -> dict[str, Shape]:
    """Give the shapes of the edge terms for a grid given in numbers or by names."""

    def times(size: int | str, factor: int) -> int | str:
        return size * factor if isinstance(size, int) else f"{factor}*{size}"

    shapes: dict[str, Shape] = {}
    for level, upsampler in enumerate(model.decode_head.levels):
        s, dim = 2 ** (level + 1), upsampler.conv.out_channels
        high, wide = times(rows, s), times(columns, s)
        kinds: tuple[Shape, ...] = (
            (high, wide, dim),
            (2, rows, wide, dim),
            (2, high, columns, dim),
            (2, 2, rows, columns, dim),
        )
        shapes.update({kind.format(level): shape for kind, shape in zip(EDGE_KINDS, kinds, strict=True)})
    return shapes
