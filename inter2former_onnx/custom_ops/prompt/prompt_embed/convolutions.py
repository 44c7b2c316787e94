"""A part of PromptEmbed: the four convolutions over patches of the label map."""

# Not the one of collections.abc, which older versions of onnxscript do not take as an attribute's type.
from typing import Sequence  # noqa: UP035

import onnx
from onnxscript import FLOAT, INT32, UINT8, script

from ...opset import INTER2FORMER, op

_LABELS = onnx.helper.make_tensor("labels", onnx.TensorProto.INT32, [1, 5, 1, 1], range(5))


@script(INTER2FORMER, default_opset=op)
def PromptConvolutions(
    patches: UINT8,
    ref_embeds: FLOAT,
    w0: FLOAT,
    b0: FLOAT,
    w1: FLOAT,
    b1: FLOAT,
    w2: FLOAT,
    b2: FLOAT,
    w3: FLOAT,
    b3: FLOAT,
    pads: Sequence[int],
) -> FLOAT:
    """Embed the labels and apply the 3 x 3 stride-2 convolutions, each with ReLU and all with the same padding.

    patches [M, H, W], weights as in PromptEmbed; pads: top, left, bottom, right -> [M h w, C]
    """
    # The embedding is linear in the one-hot labels, so it goes into the first convolution's weights.
    kernels = op.MatMul(ref_embeds, op.Reshape(w0, [0, 5, 9]))
    folded = op.Reshape(kernels, [0, 5, 3, 3])
    # As int32: older versions of onnxruntime (1.19 is one) do not compare uint8.
    labels = op.Cast(op.Unsqueeze(patches, [1]), to=INT32.dtype)
    one_hot = labels == op.Constant(value=_LABELS)
    y0 = op.Relu(op.Conv(op.Cast(one_hot, to=FLOAT.dtype), folded, b0, kernel_shape=[3, 3], strides=[2, 2], pads=pads))
    y1 = op.Relu(op.Conv(y0, w1, b1, kernel_shape=[3, 3], strides=[2, 2], pads=pads))
    y2 = op.Relu(op.Conv(y1, w2, b2, kernel_shape=[3, 3], strides=[2, 2], pads=pads))
    y3 = op.Relu(op.Conv(y2, w3, b3, kernel_shape=[3, 3], strides=[2, 2], pads=pads))
    return op.Flatten(op.Transpose(y3, perm=[0, 2, 3, 1]), axis=3)
