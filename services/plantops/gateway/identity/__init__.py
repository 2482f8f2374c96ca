"""Who asks: each way to prove it, and nothing that is believed without proof outside of a demonstration."""
