"""The op QuantResidualProjection."""
