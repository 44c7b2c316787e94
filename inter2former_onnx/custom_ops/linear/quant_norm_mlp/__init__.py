"""The op QuantNormMlp."""
