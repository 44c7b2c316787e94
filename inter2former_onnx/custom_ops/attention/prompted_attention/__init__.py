"""The op PromptedAttention."""
