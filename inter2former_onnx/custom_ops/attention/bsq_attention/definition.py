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
    zero = op.Constant(value_ints=[0])
    one = op.Constant(value_ints=[1])
    start = op.Constant(value_int=0)
    step = op.Constant(value_int=1)
    unit = op.Constant(value_float=1.0)
    size = op.Shape(code_bias)
    heads = op.Reshape(op.Constant(value_int=num_heads), one)
    channels = op.Shape(v, start=1, end=2)
    width = op.Div(channels, heads)

    # Keys of all 2^B buckets.
    places = op.Sub(op.Sub(size, one), op.Range(start, op.Squeeze(size), step))
    worth = op.Pow(op.Constant(value_ints=[2]), places)
    buckets = op.Range(start, op.Squeeze(op.Pow(op.Constant(value_ints=[2]), size)), step)
    bucket_column = op.Unsqueeze(buckets, one)
    bits = op.Cast(op.Mod(op.Div(bucket_column, worth), op.Constant(value_ints=[2])), to=1)
    scale = op.Pow(op.Cast(width, to=1), op.Constant(value_float=-0.5))
    bucket_keys = op.Mul(op.MatMul(op.Concat(bits, op.Sub(unit, bits), axis=1), codebook), scale)

    # Sums over buckets as a product with a one-hot matrix: onnxruntime adds duplicate indices of ScatterND in several
    # threads at once, and ScatterElements in one.
    projected = op.Gemm(k, code_weight, code_bias, transB=1)
    set_bits = op.Cast(op.GreaterOrEqual(projected, op.Constant(value_float=0.0)), to=1)
    number = op.ReduceSum(op.Mul(set_bits, op.Cast(worth, to=1)), one, keepdims=0)
    member = op.Cast(op.Equal(op.Cast(bucket_column, to=1), number), to=1)
    count = op.ReduceSum(member, one, keepdims=1)
    bucket_values = op.Div(op.MatMul(member, v), op.Max(count, unit))

    # c_m e^x = e^(x + log c_m), so a softmax over x + log c_m weights the buckets' mean values, and log 0 = -infinity
    # leaves out the empty ones, also where they would hold all the mass. Some bucket is occupied, as N >= 1.
    # Keys and values of a head are zero in the channels of the others. That spares transposing the queries, which some
    # versions of onnxruntime fuse into the product and then divide by zero when there are none.
    head = op.Div(op.Range(start, op.Squeeze(channels), step), width)
    of_head = op.Equal(op.Reshape(op.Range(start, op.Squeeze(heads), step), op.Constant(value_ints=[-1, 1, 1])), head)
    mask = op.Cast(of_head, to=1)
    keys = op.Transpose(op.Mul(bucket_keys, mask), perm=[0, 2, 1])
    scores = op.Add(op.MatMul(q, keys), op.Reshape(op.Log(count), op.Constant(value_ints=[-1])))
    by_head = op.MatMul(op.Softmax(scores, axis=-1), op.Mul(bucket_values, mask))
    if op.Greater(op.Constant(value_int=num_heads), step):
        out = op.ReduceSum(by_head, zero, keepdims=0)
    else:
        out = op.Squeeze(by_head, zero)
    return out
