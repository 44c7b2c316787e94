"""The op AddPrompt."""
