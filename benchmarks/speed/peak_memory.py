"""Measures the peak memory of a function, in the process or on the GPU."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""The numbers of these settings in glibc's mallopt."""


def peak(run: Callable[[], Any], *, cuda: bool = False) -> tuple[int, int]:
    """Return the peak of one run and how much of it the run added, bytes: of the GPU, or of the process."""
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        most = torch.cuda.max_memory_allocated()
        return most, most - before
    libc = ctypes.CDLL(None)
    libc.mallopt(MMAP_THRESHOLD, 2**18)  # freed tensors go back at once: the peak is no matter of the heap's luck
    libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
    before = _status("VmRSS")
    run()
    most = _status("VmHWM")
    libc.mallopt(MMAP_THRESHOLD, 2**25)
    libc.mallopt(TRIM_THRESHOLD, 2**26)  # where glibc's own adjusting ends: no system calls while the clock runs
    return most, most - before


def _status(key: str) -> int:
    """Return bytes of this process, by the name in Linux' /proc."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024
