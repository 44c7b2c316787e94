"""The op NormMlp."""
