"""Training the modules of `models/` from scratch: data, simulated clicks, losses, checkpoints and evaluation (PyTorch).

Nothing here is imported by the runtime. `inter2former train --help` is the way in.
"""
