"""What the tests of the ops share: inputs, oracles, and running an op in all its forms."""
