"""Draws the maps of a clip over all of its frames, and writes them as movies."""
