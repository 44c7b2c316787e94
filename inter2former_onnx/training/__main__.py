"""`python -m inter2former_onnx.training`."""

import os

# Threads that wait should sleep: on a machine shared with other work a spinning thread holds up the very one it waits
# for. Must be set before torch starts its threads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

from .command import main  # noqa: E402

raise SystemExit(main())
