"""CannyEdges: gradient magnitude, orientation and thinned edges of an image."""

from onnxscript import FLOAT, INT64, script

from ...opset import INTER2FORMER, op


@script(INTER2FORMER, default_opset=op)
def CannyEdges(
    image: FLOAT,
    mean: FLOAT,
    std: FLOAT,
    gaussian_h: FLOAT,
    gaussian_v: FLOAT,
    sobel_h: FLOAT,
    sobel_v: FLOAT,
    directions: FLOAT,
) -> FLOAT:
    """The hand-made channels of the edge detector, each of unit L2 norm over the image.

    image [3, H, W], normalised with mean and std [3]; gaussian_h [1, 1, 1, 5], gaussian_v [1, 1, 5, 1], sobel_h,
    sobel_v [1, 1, 3, 3] and directions [8, 1, 3, 3] are convolutions. -> [H, W, 5]: gradient magnitude, orientation in
    degrees, thinned magnitude, and the last and first of these with values below 2 set to zero.
    """
    seen = (image * op.Reshape(std, [3, 1, 1]) + op.Reshape(mean, [3, 1, 1])) / 255.0
    x = op.Unsqueeze(op.Clip(seen, 0.0, 1.0), [1])  # [3, 1, H, W]
    x = op.Conv(x, gaussian_h, pads=[0, 2, 0, 2])
    x = op.Conv(x, gaussian_v, pads=[2, 0, 2, 0])
    gx = op.Conv(x, sobel_h, pads=[1, 1, 1, 1])
    gy = op.Conv(x, sobel_v, pads=[1, 1, 1, 1])
    magnitude = op.ReduceSum(op.Sqrt(gx * gx + gy * gy), [0], keepdims=1)  # [1, 1, H, W]
    # ONNX has no Atan2: the quadrant is put together from Atan, and without a gradient the angle is 0.
    along = op.ReduceSum(gx, [0], keepdims=1)
    down = op.ReduceSum(gy, [0], keepdims=1)
    upright = along == 0.0
    angle = op.Atan(down / op.Where(upright, 1.0, along))
    angle = op.Where(along < 0.0, angle + op.Where(down < 0.0, -3.1415927410125732, 3.1415927410125732), angle)
    angle = op.Where(upright, op.Sign(down) * 1.5707963705062866, angle)
    sector = op.Round((angle * 57.295780181884766 + 180.0) / 45.0)
    differences = op.Conv(magnitude, directions, pads=[1, 1, 1, 1])
    ahead_index = op.Cast(sector, to=INT64.dtype) % 8
    ahead = op.GatherElements(differences, ahead_index, axis=1)
    behind = op.GatherElements(differences, (ahead_index + 4) % 8, axis=1)
    thin = op.Where(op.Min(ahead, behind) > 0.0, magnitude, 0.0)
    strong_thin = op.Where(thin < 2.0, 0.0, thin)
    strong = op.Where(magnitude < 2.0, 0.0, magnitude)
    edges = op.Squeeze(op.Concat(magnitude, sector * 45.0, thin, strong_thin, strong, axis=1), [0])  # [5, H, W]
    norm = op.Sqrt(op.ReduceSum(edges * edges, [1, 2], keepdims=1))
    return op.Transpose(edges / op.Max(norm, 1e-12), perm=[1, 2, 0])
