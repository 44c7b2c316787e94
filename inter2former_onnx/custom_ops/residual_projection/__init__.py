"""The op ResidualProjection."""
