"""Images: from 8-bit pixels of any size to the normalised input of the encoder (docs/model.md 1)."""
