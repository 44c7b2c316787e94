"""`python -m inter2former_onnx`: the same as the `inter2former` command."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
