"""The definitions as ONNX functions, and putting them into models."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from inter2former_onnx.custom_ops import DOMAIN, VERSION
from inter2former_onnx.custom_ops.definitions import add_functions, function_protos
from inter2former_onnx.custom_ops.registry import functions
from support.ops.agreement import oracle
from support.ops.arrays import Case
from support.ops.comparison import assert_close
from support.ops.families import attention, edges, experts, image, linear, prompt, tokens, upsampling
from support.ops.groups import names_of
from support.ops.registry import OPS
from support.ops.sessions import OPSET, op_model, run_op, session


def cases() -> Iterator[tuple[str, Case]]:
    """Every op with ordinary and with empty routes; one that is not listed here, its small case."""
    rng = np.random.default_rng(0)
    for count, boundary in ((12, 5), (12, 0), (12, 12)):
        yield "BoundaryGather", tokens.gather_case(rng, count, boundary)
        yield "BoundaryScatter", tokens.scatter_case(rng, count, boundary)
        yield "BoundaryAttention", attention.boundary_attention_case(rng, 3, 4, boundary, 2)
        yield "BSQAttention", attention.bsq_attention_case(rng, count, count - boundary, 2, 6)
        yield "HybridAttention", attention.hybrid_attention_case(rng, 3, 4, boundary, 2, 6)
        yield "HybridMoE", experts.hybrid_moe_case(rng, count, boundary, 4)
    yield "NormProjection", linear.norm_projection_case(rng, 6)
    yield "ResidualProjection", linear.residual_projection_case(rng, 6)
    yield "NormMlp", linear.norm_mlp_case(rng, 6)
    for shift in (False, True):
        yield "WindowAttention", attention.window_attention_case(rng, [(6, 9), (4, 4)], 4, shift, 2)
    yield "ResidualConvBlock", edges.residual_conv_block_case(rng, 5, 7, 4)
    # Channels that onnxruntime has blocked convolutions for.
    yield "ResidualConvBlock", edges.residual_conv_block_case(rng, 9, 6, 32)
    for reverse in (0, 1):
        yield "SampleImage", image.sample_image_case(rng, (5, 7), (4, 6), reverse)
    yield "CannyEdges", edges.canny_edges_case(rng, 9, 12)
    for stride, dims in ((1, (5, 4)), (2, (16, 32))):
        yield "Conv3x3", edges.conv3x3_case(rng, 7, 6, *dims, stride)
        yield "EdgeTaps", edges.edge_taps_case(rng, 3, 2, 2 * stride, *dims)
    yield "QuantNormProjection", linear.quant_norm_projection_case(rng, 6)
    yield "QuantResidualProjection", linear.quant_residual_projection_case(rng, 6)
    yield "QuantNormMlp", linear.quant_norm_mlp_case(rng, 6)
    yield "FirstAttention", attention.first_attention_case(rng, 3, 4, 2)
    yield "PromptedAttention", attention.prompted_attention_case(rng, 3, 4, 12, 1, 2, 6)
    yield "PromptProjection", prompt.prompt_projection_case(rng, 4, 5)
    labels = np.ones((64, 80), np.uint8)
    labels[30:40, 40:55] = 4
    yield "PromptEmbed", ([labels, *prompt.prompt_weights(rng)], {})
    noise = rng.integers(0, 5, (64, 80)).astype(np.uint8)
    yield "PromptEmbed", ([noise, *prompt.prompt_weights(rng)], {})
    # Channels that onnxruntime has blocked convolutions for.
    wide = prompt.prompt_weights(rng, (16, 32, 32, 64))
    yield "PromptEmbed", ([labels, *wide], {})
    yield "Localise", tokens.localise_case(rng, 3, 4)
    yield "LocalBox", ([rng.standard_normal((3, 4)).astype(np.float32), np.array(0.5, np.float32)], {})
    yield "CropTokens", tokens.crop_case(rng, 3, 4, (1, 0, 3, 2))
    for in_dim, out_dim, activation in ((16, 4, 1), (4, 1, 0), (8, 16, 1)):
        upsample = upsampling.local_upsample_2x_case(rng, 1, 4, 5, (1, 0, 4, 3), in_dim, out_dim, activation)
        yield "LocalUpsample2x", upsample


CASES = list(cases())
CASES += [(name, op.small(np.random.default_rng(0))) for name, op in OPS.items() if name not in dict(CASES)]
CASE_NAMES = [f"{name}-{number}" for number, (name, _) in enumerate(CASES)]


@pytest.mark.parametrize(("name", "case"), CASES, ids=CASE_NAMES)
def test_same_result_with_weights_in_the_model_and_without_optimisation(name: str, case: Case) -> None:
    """As in a bundle, where onnxruntime folds what depends on weights only; with all optimisations, and with none."""
    inputs, attributes = case
    weights = OPS[name].weights
    expected = oracle(name, inputs, attributes)
    model = op_model(name, inputs, attributes, weights)
    feed = dict(zip([value.name for value in model.graph.input], inputs_but(inputs, weights), strict=True))
    for optimised in (True, False):
        assert_close(session(model, optimised=optimised).run(None, feed), expected, 2e-5, f"{name}, {optimised=}")
        assert_close(run_op(name, inputs, attributes, optimised=optimised), expected, 2e-5, f"{name}, {optimised=}")


def inputs_but(inputs: list[np.ndarray], weights: tuple[int, ...]) -> list[np.ndarray]:
    return [array for position, array in enumerate(inputs) if position not in weights]


@pytest.mark.parametrize("name", OPS)
def test_model_passes_the_checker(name: str) -> None:
    """With shape inference through the functions."""
    inputs, attributes = next(case for op, case in CASES if op == name)
    model = op_model(name, inputs, attributes)
    for value, array in zip(model.graph.output, run_op(name, inputs, attributes), strict=True):
        element = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        shape = [f"{value.name}_{axis}" for axis in range(array.ndim)]
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, element, shape))
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("name", OPS)
def test_inputs_and_attributes_are_those_of_the_pytorch_form(name: str) -> None:
    proto = next(proto for proto in function_protos() if proto.name == name)
    inputs, attributes = names_of(OPS[name].torch_form)
    assert [*proto.input] == inputs
    assert [*proto.attribute] == attributes


def nodes_of(nodes: list[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from nodes_of(list(attribute.g.node))


def test_functions_are_the_ops_and_their_parts_in_order() -> None:
    """Every op has a definition; the other functions are parts, called by one; who is called comes before who calls."""
    seen: set[str] = set()
    called: set[str] = set()
    for proto in function_protos():
        calls = {node.op_type for node in nodes_of(list(proto.node)) if node.domain == DOMAIN}
        assert calls <= seen, f"{proto.name} calls {calls - seen}"
        seen.add(proto.name)
        called |= calls
    assert len(seen) == len(functions())
    assert set(OPS) <= seen
    assert seen - set(OPS) <= called


def test_bodies_of_scans_give_tensors_of_known_rank() -> None:
    """onnxruntime 1.17 to 1.19 refuse to run others."""
    bodies = [
        attribute.g
        for proto in function_protos()
        for node in nodes_of(list(proto.node))
        if node.op_type == "Scan"
        for attribute in node.attribute
        if attribute.name == "body"
    ]
    assert len(bodies) >= 2
    assert all(output.type.tensor_type.HasField("shape") for body in bodies for output in body.output)


def test_graphs_do_not_tell_where_their_definition_stands() -> None:
    """onnxscript puts line numbers of the source into the names of an If's branches."""
    branches = [
        (proto.name, node.name, attribute)
        for proto in function_protos()
        for node in nodes_of(list(proto.node))
        if node.op_type == "If"
        for attribute in node.attribute
    ]
    assert len(branches) >= 10
    assert all(branch.g.name == f"{node}_{branch.name}" for _, node, branch in branches)
    assert len({(function, branch.g.name) for function, _, branch in branches}) == len(branches)


def test_numbers_in_definitions_are_not_cast() -> None:
    """They have the type of what they meet; onnxscript would have onnxruntime cast them when it loads a model."""
    nodes = [node for proto in function_protos() for node in nodes_of(list(proto.node))]
    assert sum(node.op_type == "Constant" for node in nodes) >= 200
    assert [node for node in nodes if node.op_type == "CastLike"] == []


def test_functions_are_short() -> None:
    """At most 60 lines, signature and docstring included."""
    for function in functions():
        assert len(inspect.getsource(function.function).splitlines()) - 1 <= 60, function.name


def test_functions_use_opset_18_only() -> None:
    for proto in function_protos():
        imports = {entry.domain: entry.version for entry in proto.opset_import}
        nodes = list(nodes_of(list(proto.node)))
        assert {node.domain for node in nodes} <= set(imports)
        assert imports.items() <= {"": OPSET, DOMAIN: VERSION}.items()
        for node in nodes:
            if node.domain == "":
                schema = onnx.defs.get_schema(node.op_type, OPSET)
                assert {attribute.name for attribute in node.attribute} <= set(schema.attributes), node.op_type


def hybrid_attention_model() -> onnx.ModelProto:
    """Without any function yet."""
    inputs, attributes = attention.hybrid_attention_case(np.random.default_rng(0), 2, 2, 1, 1, 6)
    model = op_model("HybridAttention", inputs, attributes)
    del model.functions[:]
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    return model


def test_add_functions_takes_what_is_used_and_what_that_uses() -> None:
    model = hybrid_attention_model()
    add_functions(model)
    names = ["BoundaryGather", "BoundaryScatter", "BoundaryAttention", "BSQAttention", "HybridAttention"]
    parts = {"RotaryTables", "Rotate", "IntoChunks", "OutOfChunks"}
    found = [function.name for function in model.functions]
    assert [name for name in found if name not in parts] == names
    assert set(found) == parts | set(names)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET), (DOMAIN, VERSION)]


def test_add_functions_twice_is_as_once() -> None:
    model = hybrid_attention_model()
    add_functions(model)
    once = model.SerializeToString(deterministic=True)
    add_functions(model)
    assert model.SerializeToString(deterministic=True) == once


def test_add_functions_finds_ops_in_branches_and_keeps_foreign_functions() -> None:
    branch = onnx.helper.make_graph(
        [onnx.helper.make_node("BoundaryGather", ["x", "i", "i"], ["a", "b"], domain=DOMAIN)],
        "branch",
        [],
        [onnx.helper.make_empty_tensor_value_info("a")],
    )
    other = onnx.helper.make_function(
        "foreign",
        "Box",
        ["x", "t"],
        ["y"],
        [onnx.helper.make_node("LocalBox", ["x", "t"], ["y"], domain=DOMAIN)],
        [onnx.helper.make_opsetid(DOMAIN, VERSION)],
    )
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)], "graph", [], []
    )
    model = onnx.helper.make_model(graph, functions=[other])
    add_functions(model)
    assert [function.name for function in model.functions] == ["Box", "BoundaryGather", "LocalBox"]


def test_add_functions_leaves_a_model_without_our_ops_alone() -> None:
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "graph", [], [])
    model = onnx.helper.make_model(graph)
    before = model.SerializeToString(deterministic=True)
    add_functions(model)
    assert model.SerializeToString(deterministic=True) == before


def test_add_functions_refuses_an_unknown_op_by_name() -> None:
    graph = onnx.helper.make_graph([onnx.helper.make_node("Frobnicate", ["x"], ["y"], domain=DOMAIN)], "graph", [], [])
    with pytest.raises(ValueError, match="inter2former::Frobnicate, expected one of .*BSQAttention"):
        add_functions(onnx.helper.make_model(graph))


def test_loader_imports_neither_onnx_nor_onnxscript(tmp_path: Path) -> None:
    """The runtime takes `custom_ops.library` on devices that have numpy and onnxruntime only."""
    code = (
        "import sys; import inter2former_onnx.custom_ops.library; "
        "print([name for name in ('onnx', 'onnxscript', 'torch') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert result.stdout.strip() == "[]"
