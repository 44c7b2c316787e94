"""The comparison report: what it measures, stores and writes. `benchmarks/compare.py` runs it."""

import inter2former_onnx  # noqa: F401 - before onnxruntime, whose telemetry it turns off; costs nothing by itself
