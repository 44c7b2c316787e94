"""Prompts: label maps to tokens (docs/model.md 5), and their way into the first projections."""
