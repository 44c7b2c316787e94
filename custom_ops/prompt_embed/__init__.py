"""The op PromptEmbed."""
