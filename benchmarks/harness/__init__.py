"""What the scripts of benchmarks/ share: bundles, scenarios, contestants, timing, and what it was measured on.

The scripts are run as files, which puts benchmarks/ on the path. This file imports nothing that takes time: a process
whose start is measured takes from here only what it needs.
"""

import inter2former_onnx  # noqa: F401 - before onnxruntime, whose telemetry it turns off
