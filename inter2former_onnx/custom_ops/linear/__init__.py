"""Linear layers of tokens, fused with the normalisation before them or the residual after them, in float32 and int8."""
