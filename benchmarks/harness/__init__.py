"""What the scripts of benchmarks/ share: bundles, scenarios, contestants, timing, and what it was measured on.

The scripts are run as files, which puts benchmarks/ on the path. This file imports nothing: a process whose start is
measured takes from here only what it needs.
"""
