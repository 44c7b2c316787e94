"""onnxruntime's reports to its maker: off, unless the user has chosen otherwise.

From 1.29 on, onnxruntime on Linux gives the machine an id, keeps a queue of events in the home folder, and sends it.
Whether it does is decided when it is imported, by an environment variable.
"""

from __future__ import annotations

import os
import sys

VARIABLE = "ORT_DISABLE_TELEMETRY"


def turn_off() -> None:
    """Turn the reports off in this process and those that it starts; a variable that is set already is left alone.

    The package calls this before any of its modules can import onnxruntime, and the runtime once more after its import:
    Windows' builds have no such variable, and somebody else may have imported onnxruntime before us.
    """
    if os.environ.setdefault(VARIABLE, "1") != "1":
        return
    disable = getattr(sys.modules.get("onnxruntime"), "disable_telemetry_events", None)
    if disable is not None:
        disable()
