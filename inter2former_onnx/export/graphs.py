"""The three graphs of a bundle as PyTorch modules: what `torch.onnx.export` traces.

Their inputs and outputs are the contract between the bundle and the runtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from ..models import ImageFeatures, Inter2Former
from ..models.custom_op import exporting
from ..models.dynamic_hybrid_attention import UnclickedBlock
from ..models.dynamic_local_upsampling import EdgeTerms, crop_tokens, edge_terms, local_box, local_upsample_2x
from ..models.edge_detector import TapWeights, edge_taps, fold_lateral
from ..models.weights import LinearWeights, NormWeights
from ..runtime.geometry import PATCH_SIZE

LEVELS = 4
Shape = tuple[str | int, ...]
Dynamic = dict[int, Any]  # axis to torch.export.Dim
EDGE_NAMES = tuple(f"{kind}{level}" for level in range(LEVELS) for kind in EdgeTerms._fields)
UNCLICKED_NAMES = UnclickedBlock._fields


def encoder_outputs(model: Inter2Former, features: ImageFeatures) -> tuple[Tensor, ...]:
    """Compute everything about an image that does not depend on clicks.

    Args:
        model: whose weights.
        features: of the image, `embed` [C, h, w].

    Returns:
        embed [h, w, C]; what the first block makes of it (named `UNCLICKED_NAMES`); and then, level by level, what
        `edge_terms` makes of the edge maps (named `EDGE_NAMES`).
    """
    terms = [
        edge_terms(edge, LinearWeights.of(upsampler.conv), 2 ** (level + 1))
        for level, (upsampler, edge) in enumerate(zip(model.decode_head.levels, features.edges, strict=True))
    ]
    embed = features.embed.permute(1, 2, 0)
    return (embed, *model.neck.unclicked(embed), *chain.from_iterable(terms))


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
        self.taps: list[TapWeights] = []
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
        return embed, *self.model.neck.unclicked(embed), *chain.from_iterable(self.edge_outputs(inputs))

    def edge_outputs(self, inputs: Tensor) -> list[EdgeTerms]:
        """Compute the edge terms of every level as ops of a graph.

        Args:
            inputs: float32 [1, 3, H, W], the normalised image.

        Returns:
            The levels', coarse to fine.
        """
        pyramid = self.model.edge_detector.pyramid(inputs)[::-1]
        terms: list[EdgeTerms] = []
        for index, (x, taps, level) in enumerate(zip(pyramid, self.taps, self.model.decode_head.levels, strict=True)):
            # The bias as the parameter that it is, under its name; what is folded is a constant of the graph.
            weights = taps._replace(bias=LinearWeights.of(level.conv).bias)
            terms.append(edge_taps(x, weights, 2 ** (index + 1)))
        return terms


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
        edges: list[list[Tensor]],
        threshold: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw the mask of a label map inside the box that it is localised in.

        Groups come as lists of their tensors: torch.export writes code that is none for arguments that are NamedTuples.

        Args:
            embed: [h, w, C] image embedding.
            prompt: [rh, rw, C] prompt tokens of the region of interest.
            offset: int64 [2], token row and column of the region's upper left.
            boundary, other: int64 [Nb], [No] token indices of the two routes, ascending; Nb + No = h w.
            changed: int64 [n], ascending, the tokens whose prompt is not the unclicked map's.
            unclicked: the fields of the image's UnclickedBlock, [h w, ...].
            edges: of every level, coarse to fine, the fields of its EdgeTerms.
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
        for upsampler, tensors in zip(self.head.levels, edges, strict=True):
            terms, norm = EdgeTerms(*tensors), upsampler.norm
            weights = (NormWeights.of(norm), upsampler.conv.weight)
            crop = local_upsample_2x(crop, box, terms, *weights, int(upsampler.activation), norm.eps)
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
    unclicked = _zeros(_unclicked_shapes(model, h * w))
    edges = [_zeros(_level_shapes(model, level, h, w)) for level in range(LEVELS)]
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
    edge_axes = [_named_axes(_level_shapes(model, level, "rows", "columns"), varies) for level in range(LEVELS)]
    line: Dynamic = {0: varies}
    dynamic: tuple[Any, ...] = (plane, plane, {}, line, line, line, [line] * len(unclicked), edge_axes, {})
    inputs: dict[str, Shape] = {
        "embed": ("rows", "columns", c),
        "prompt": ("region_rows", "region_columns", c),
        "offset": (2,),
        "boundary": ("boundary_tokens",),
        "other": ("other_tokens",),
        "changed": ("changed_tokens",),
        **_unclicked_shapes(model, "rows*columns"),
        **_edge_shapes(model, "rows", "columns"),
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


def _zeros(shapes: dict[str, Shape]) -> list[Tensor]:
    """Make a tensor of each shape, which is given in numbers."""
    return [torch.zeros([int(size) for size in shape]) for shape in shapes.values()]


def _named_axes(shapes: dict[str, Shape], varies: Any) -> list[Dynamic]:
    """Say of each shape which axes vary: those whose size has a name."""
    return [{axis: varies for axis, size in enumerate(shape) if isinstance(size, str)} for shape in shapes.values()]


def _edge_shapes(model: Inter2Former, rows: int | str, columns: int | str) -> dict[str, Shape]:
    """Give the shapes of all edge terms for a grid given in numbers or by names."""
    levels = (_level_shapes(model, level, rows, columns) for level in range(LEVELS))
    return {name: shape for shapes in levels for name, shape in shapes.items()}


def _level_shapes(model: Inter2Former, level: int, rows: int | str, columns: int | str) -> dict[str, Shape]:
    """Give the shapes of one level's edge terms by their names, in the order of EdgeTerms."""

    def times(size: int | str, factor: int) -> int | str:
        return size * factor if isinstance(size, int) else f"{factor}*{size}"

    s, dim = 2 ** (level + 1), model.decode_head.levels[level].conv.out_channels
    high, wide = times(rows, s), times(columns, s)
    return {
        f"edge{level}": (high, wide, dim),
        f"edge_rows{level}": (2, rows, wide, dim),
        f"edge_columns{level}": (2, high, columns, dim),
        f"edge_corners{level}": (2, 2, rows, columns, dim),
    }
