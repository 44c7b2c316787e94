"""The op LocalUpsample2x."""
