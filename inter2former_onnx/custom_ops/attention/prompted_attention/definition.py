"""PromptedAttention: HybridAttention of the first block, most of which the encoder may have done."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op
from ..hybrid_attention.definition import HybridAttention


@script(INTER2FORMER, default_opset=op)
def PromptedAttention(
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
    first_qkv: FLOAT,
    first_attention: FLOAT,
    first_lse: FLOAT,
    changed: INT64,
    num_heads: int,
) -> FLOAT:
    """HybridAttention; what FirstAttention made of first_qkv may stand in for the rows that have not changed.

    The inputs up to proj_bias: see HybridAttention; first_qkv [N, 3 D] is qkv but for the tokens changed [n],
    ascending; first_attention [N, D], first_lse [N, heads]: FirstAttention of first_qkv -> [N, C]
    """
    return HybridAttention(
        x,
        qkv,
        boundary,
        other,
        grid,
        freqs,
        code_weight,
        code_bias,
        codebook,
        proj_weight,
        proj_bias,
        num_heads=num_heads,
    )
