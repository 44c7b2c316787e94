"""Attention: the dynamic hybrid attention, exact and BSQ (docs/model.md 7), and the windows of the encoder (2)."""
