"""HybridAttention: both routes of attention, output projection and residual."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op
from ...tokens.boundary_gather.definition import BoundaryGather
from ...tokens.boundary_scatter.definition import BoundaryScatter
from ..boundary_attention.definition import BoundaryAttention
from ..bsq_attention.definition import BSQAttention


@script(INTER2FORMER, default_opset=op)
def HybridAttention(
    x: FLOAT,
    qkv: FLOAT,
    boundary: INT64,
    other: INT64,
    grid: INT64,
    freqs: FLOAT,
    code_weight: FLOAT,
    code_bias: FLOAT,
    codebook: FLOAT,
    proj_weight: FLOAT,
    proj_bias: FLOAT,
    num_heads: int,
) -> FLOAT:
    """x + proj(scatter(BoundaryAttention of the boundary tokens, BSQAttention of the others)).

    x [N, C]; qkv [N, 3 D]: columns of q, k and v side by side; boundary [Nb], other [No]: ascending token indices,
    together 0 .. N - 1; grid [2] = (h, w); freqs [D / heads / 4]; code_weight [B, D], code_bias [B], codebook [2 B, D];
    proj_weight [C, D], proj_bias [C] -> [N, C]
    """
    q, k, v = op.Split(qkv, axis=1, num_outputs=3)
    q_boundary, q_other = BoundaryGather(q, boundary, other)
    out_boundary = BoundaryAttention(q_boundary, k, v, boundary, grid, freqs, num_heads=num_heads)
    out_other = BSQAttention(q_other, k, v, code_weight, code_bias, codebook, num_heads=num_heads)
    out = BoundaryScatter(out_boundary, out_other, boundary, other)
    return x + op.Gemm(out, proj_weight, proj_bias, transB=1)
