"""Decodes in processes of their own, which the kernel bounds: a video that kills, hangs or grows harms itself alone.

with Pool(workers=2) as pool:
    clip = pool.decode(source, 16)
"""

from staa_video.pool.workers import Pool

__all__ = ["Pool"]
