"""All ops of the domain as ONNX functions, and putting them into a model.

A model that carries them runs in stock onnxruntime; with the native library registered, onnxruntime takes the kernels
of the same names instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnxscript import OnnxFunction

from . import DOMAIN, VERSION
from .boundary_attention.chunks import IntoChunks, OutOfChunks
from .boundary_attention.definition import BoundaryAttention
from .boundary_attention.rotation import RotaryTables, Rotate
from .boundary_gather.definition import BoundaryGather
from .boundary_scatter.definition import BoundaryScatter
from .bsq_attention.definition import BSQAttention
from .canny_edges.definition import CannyEdges
from .conv3x3.definition import Conv3x3
from .crop_tokens.definition import CropTokens
from .edge_taps.definition import EdgeTaps
from .first_attention.definition import FirstAttention
from .hybrid_attention.definition import HybridAttention
from .hybrid_moe.definition import HybridMoE
from .local_box.definition import LocalBox
from .local_upsample_2x.definition import LocalUpsample2x
from .local_upsample_2x.interpolation import UpsampleMatrices, UpsampleWindows
from .localise.definition import Localise
from .norm_mlp.definition import NormMlp
from .norm_projection.definition import NormProjection
from .prompt_embed.convolutions import PromptConvolutions
from .prompt_embed.definition import PromptEmbed
from .prompt_projection.definition import AddPrompt, PromptProjection
from .prompted_attention.definition import PromptedAttention
from .quant_linear.definition import QuantLinear
from .quant_norm_mlp.definition import QuantNormMlp
from .quant_norm_projection.definition import QuantNormProjection
from .quant_residual_projection.definition import QuantResidualProjection
from .residual_conv_block.definition import NormSilu, ResidualConvBlock
from .residual_projection.definition import ResidualProjection
from .sample_image.definition import SampleImage
from .window_attention.definition import WindowAttention

# Those that others call come first. The ops of the domain, and the parts they are put together from, which have no
# kernels of their own.
FUNCTIONS: tuple[OnnxFunction, ...] = (
    BoundaryGather,
    BoundaryScatter,
    RotaryTables,
    Rotate,
    IntoChunks,
    OutOfChunks,
    BoundaryAttention,
    FirstAttention,
    BSQAttention,
    NormProjection,
    ResidualProjection,
    NormMlp,
    WindowAttention,
    QuantLinear,
    QuantNormProjection,
    QuantResidualProjection,
    QuantNormMlp,
    SampleImage,
    CannyEdges,
    Conv3x3,
    NormSilu,
    ResidualConvBlock,
    EdgeTaps,
    HybridAttention,
    PromptedAttention,
    HybridMoE,
    AddPrompt,
    PromptProjection,
    PromptConvolutions,
    PromptEmbed,
    Localise,
    LocalBox,
    CropTokens,
    UpsampleWindows,
    UpsampleMatrices,
    LocalUpsample2x,
)


def _calls(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """Name the domain's functions that `nodes` call, those in the nodes' own graphs (If, Loop, Scan) included."""
    for node in nodes:
        if node.domain == DOMAIN:
            yield node.op_type
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _calls(graph.node)


def _name_branches(nodes: Iterable[onnx.NodeProto]) -> None:
    """Name the branches of every If after their node, in place.

    onnxscript names them after the line of the source that the `if` stands on, and a bundle shall not change when a
    comment does.
    """
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                if node.op_type == "If":
                    attribute.g.name = f"{node.name}_{attribute.name}"
                _name_branches(attribute.g.node)


def function_protos() -> list[onnx.FunctionProto]:
    """Write the definition of every function.

    Returns:
        One for each of FUNCTIONS, in their order. They are the same wherever in its file a definition stands.
    """
    protos = []
    for function in FUNCTIONS:
        proto = function.to_function_proto()
        _name_branches(proto.node)
        # onnxscript overlooks calls inside the branches of an If when it writes the imports.
        if any(_calls(proto.node)) and all(entry.domain != DOMAIN for entry in proto.opset_import):
            proto.opset_import.append(onnx.helper.make_opsetid(DOMAIN, VERSION))
        protos.append(proto)
    return protos


def add_functions(model: onnx.ModelProto) -> None:
    """Put the definitions of the ops that `model` uses, and of what these use, into the model.

    Definitions of the domain that the model already holds are replaced; functions of other domains stay, first. Ours
    follow in the order of FUNCTIONS, and the opset imports, the domain's among them, are sorted by domain. A model that
    uses none of the ops stays as it is.

    Args:
        model: changed in place.

    Raises:
        ValueError: the model uses an op of the domain that is not defined here; the message names it.
    """
    definitions = {proto.name: proto for proto in function_protos()}
    others = [function for function in model.functions if function.domain != DOMAIN]
    waiting = list(_calls(model.graph.node))
    for function in others:
        waiting.extend(_calls(function.node))
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in used:
            continue
        if name not in definitions:
            raise ValueError(f"the model uses {DOMAIN}::{name}, expected one of {', '.join(sorted(definitions))}")
        used.add(name)
        waiting.extend(_calls(definitions[name].node))
    if not used:
        return

    del model.functions[:]
    model.functions.extend(others)
    model.functions.extend(proto for name, proto in definitions.items() if name in used)
    imports = {entry.domain: entry.version for entry in model.opset_import}
    imports[DOMAIN] = VERSION
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, imports[domain]) for domain in sorted(imports))
