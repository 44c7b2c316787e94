"""Experts: the hybrid mixture of experts (docs/model.md 8)."""
