"""The op CannyEdges."""
