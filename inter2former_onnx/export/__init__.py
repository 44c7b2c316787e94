"""Checkpoint to bundle, and proof that both compute the same."""

from .bundle import export_bundle
from .verification import Report, verify_bundle

__all__ = ["Report", "export_bundle", "verify_bundle"]
