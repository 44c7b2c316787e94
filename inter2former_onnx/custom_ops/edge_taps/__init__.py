"""The op EdgeTaps."""
