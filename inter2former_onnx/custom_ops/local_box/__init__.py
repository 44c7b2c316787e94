"""The op LocalBox."""
