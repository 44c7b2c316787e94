"""The op WindowAttention."""
