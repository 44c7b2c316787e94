"""The comparison report: what it measures, stores and writes. `benchmarks/compare.py` runs it."""
