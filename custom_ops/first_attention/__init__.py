"""The op FirstAttention."""
