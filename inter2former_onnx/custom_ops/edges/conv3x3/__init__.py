"""The op Conv3x3."""
