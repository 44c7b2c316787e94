"""Training the modules of `models/` from scratch: data, simulated clicks, losses, checkpoints and evaluation (PyTorch).

Nothing here is imported by the runtime. `python -m inter2former_onnx.training --help` is the way in.
"""
