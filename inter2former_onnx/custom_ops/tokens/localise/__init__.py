"""The op Localise."""
