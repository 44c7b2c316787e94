"""Upsampling: one level of dynamic local upsampling (docs/model.md 9)."""
