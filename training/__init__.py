"""The default model: its clips with known truth, its training, its figures."""
