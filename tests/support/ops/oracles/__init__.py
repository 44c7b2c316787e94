"""What every op computes, once more and from its definition: slow, in float64 and in the plainest numpy there is.

A file a family. Independent of the onnxscript functions, of the PyTorch forms and of the native kernels, which are all
held to it. Names and arguments as in `inter2former_onnx.models`.
"""
