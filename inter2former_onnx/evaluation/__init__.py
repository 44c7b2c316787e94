"""Measuring masks as the field does: simulated clicks on data sets, for this model and for what it is compared with.

Needs numpy, onnxruntime and the extra `[image]`; no torch. See docs/evaluation.md for the protocol.
"""
