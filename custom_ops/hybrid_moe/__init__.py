""
    "The op HybridMoE."
    ""
