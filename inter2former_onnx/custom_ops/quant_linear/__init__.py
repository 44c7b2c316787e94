"""The linear layer in 8-bit integers that the Quant ops are put together from."""
