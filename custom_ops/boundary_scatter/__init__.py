"""The op BoundaryScatter."""
