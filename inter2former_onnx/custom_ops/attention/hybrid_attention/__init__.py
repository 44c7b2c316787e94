"""The op HybridAttention."""
