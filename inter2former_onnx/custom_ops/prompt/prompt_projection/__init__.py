"""The op PromptProjection."""
