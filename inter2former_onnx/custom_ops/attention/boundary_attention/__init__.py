"""The op BoundaryAttention."""
