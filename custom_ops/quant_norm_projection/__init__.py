"""The op QuantNormProjection."""
