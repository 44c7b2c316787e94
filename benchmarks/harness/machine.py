"""What a measurement was made on, in one line each."""

from __future__ import annotations

import platform
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from inter2former_onnx.custom_ops import library

GEMM_SIZE = 1536


def describe(threads: int) -> list[str]:
    """Describe the measurement: a line each on processor and system, versions, and instruction set.

    Args:
        threads: that are used.
    """
    return [
        f"machine: {_processor()}, {platform.system()} {platform.machine()}, {threads} threads used",
        f"software: Python {platform.python_version()}, onnxruntime {ort.__version__}, numpy {np.__version__}",
        f"custom ops: {library.instruction_set() or 'portable only'}",
    ]


def gemm_rate(threads: int, seconds: float = 1.0) -> float:
    """Measure onnxruntime's float32 matrix product.

    Args:
        threads: it runs on.
        seconds: for which it is repeated.

    Returns:
        GFLOP/s of the best run.
    """
    shape = [GEMM_SIZE, GEMM_SIZE]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "gemm", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feed = {name: rng.standard_normal(shape, dtype=np.float32) for name in "ab"}
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter()
        session.run(None, feed)
        best = min(best, time.perf_counter() - start)
    return 2 * GEMM_SIZE**3 / best / 1e9


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            for line in info:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
