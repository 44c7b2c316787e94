"""The op HybridMoE."""
