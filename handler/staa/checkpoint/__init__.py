"""Reads checkpoints of others: which files are taken, what is read of their configuration, and the loaded model.

Its rooms are imported one by one: `files` and `config` need only the standard library, `loader` needs torch.
"""
