"""BSQAttention: attention over binary-quantised key buckets."""

from onnxscript import FLOAT, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def BSQAttention(
    q: FLOAT, k: FLOAT, v: FLOAT, code_weight: FLOAT, code_bias: FLOAT, codebook: FLOAT, num_heads: int
) -> FLOAT:
    """Attention in which every key is replaced by the key of its bucket.

    The bits of a key are k code_weight^T + code_bias >= 0, the first one most significant; they number its bucket.
    Bucket m has the key K_m, the sum over its bits b of codebook[b] if the bit is set, else codebook[B + b]; V_m, the
    sum of the values of its tokens; and c_m, their number. Per head, with s = (D / heads)^-0.5 and over the occupied
    buckets: out = sum_m e^(s q.K_m) V_m / sum_m e^(s q.K_m) c_m.

    q [No, D]; k, v [N, D], N >= 1; code_weight [B, D], code_bias [B]: over all D channels, whatever the heads;
    codebook [2 B, D] -> [No, D]
    """
    size = op.Shape(code_bias)
    heads = op.Reshape(num_heads, [1])
    channels = op.Shape(v, start=1, end=2)
    width = channels / heads

    # Keys of all 2^B buckets.
    places = size - 1 - op.Range(0, op.Squeeze(size), 1)
    worth = 2**places
    buckets = op.Range(0, op.Squeeze(2**size), 1)
    bucket_column = op.Unsqueeze(buckets, [1])
    bits = op.Cast((bucket_column / worth) % 2, to=FLOAT.dtype)
    scale = op.Cast(width, to=FLOAT.dtype) ** (-0.5)
    bucket_keys = op.MatMul(op.Concat(bits, 1.0 - bits, axis=1), codebook) * scale

    # Sums over buckets as a product with a one-hot matrix: onnxruntime adds duplicate indices of ScatterND in several
    # threads at once, and ScatterElements in one.
    projected = op.Gemm(k, code_weight, code_bias, transB=1)
    set_bits = op.Cast(projected >= 0.0, to=FLOAT.dtype)
    number = op.ReduceSum(set_bits * op.Cast(worth, to=FLOAT.dtype), [1], keepdims=0)
    member = op.Cast(op.Cast(bucket_column, to=FLOAT.dtype) == number, to=FLOAT.dtype)
    count = op.ReduceSum(member, [1], keepdims=1)
    bucket_values = op.MatMul(member, v) / op.Max(count, 1.0)

    # c_m e^x = e^(x + log c_m), so a softmax over x + log c_m weights the buckets' mean values, and log 0 = -infinity
    # leaves out the empty ones, also where they would hold all the mass. Some bucket is occupied, as N >= 1.
    # Keys and values of a head are zero in the channels of the others. That spares transposing the queries, which some
    # versions of onnxruntime fuse into the product and then divide by zero when there are none.
    head = op.Range(0, op.Squeeze(channels), 1) / width
    of_head = op.Reshape(op.Range(0, op.Squeeze(heads), 1), [-1, 1, 1]) == head
    mask = op.Cast(of_head, to=FLOAT.dtype)
    keys = op.Transpose(bucket_keys * mask, perm=[0, 2, 1])
    scores = op.MatMul(q, keys) + op.Reshape(op.Log(count), [-1])
    by_head = op.MatMul(op.Softmax(scores, axis=-1), bucket_values * mask)
    if num_heads > 1:  # noqa: SIM108 - onnxscript knows no conditional expressions
        out = op.ReduceSum(by_head, [0], keepdims=0)
    else:
        out = op.Squeeze(by_head, [0])
    return out
