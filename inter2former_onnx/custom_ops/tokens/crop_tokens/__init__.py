"""The op CropTokens."""
