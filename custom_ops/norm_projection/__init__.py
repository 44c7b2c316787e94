"""The op NormProjection."""
