"""The op ResidualConvBlock."""
