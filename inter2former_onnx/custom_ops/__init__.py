"""Custom operators of the `inter2former` domain: definitions, native kernels and the loader of the native library.

Nothing is imported here: `inter2former_onnx.runtime` takes `custom_ops.library` on devices that have only numpy and
onnxruntime, while `custom_ops.definitions` needs onnx and onnxscript.
"""

DOMAIN = "inter2former"
VERSION = 1
