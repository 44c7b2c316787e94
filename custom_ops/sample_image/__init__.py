"""The op SampleImage."""
