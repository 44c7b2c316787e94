"""Tokens: splitting them by route and joining them again (docs/model.md 6), finding and cutting the box to draw (9)."""
