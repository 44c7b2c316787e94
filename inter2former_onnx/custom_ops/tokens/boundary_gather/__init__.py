"""The op BoundaryGather."""
