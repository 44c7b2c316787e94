"""Edges: the edge detector (docs/model.md 3) and what the upsampling adds of its maps."""
