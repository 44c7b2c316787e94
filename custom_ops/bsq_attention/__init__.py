"""The op BSQAttention."""
