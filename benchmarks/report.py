"""What every script here has: arguments, the machine that it ran on, tables in Markdown, and a stopwatch."""

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

Result = TypeVar("Result")
ROOT = Path(__file__).resolve().parents[1]
MODELS = (
    ROOT / "model_store/motions",
    ROOT / "benchmarks/models/vivit",
    ROOT / "benchmarks/models/videomae",
    ROOT / "benchmarks/models/vjepa2",
)


def argument_parser(docstring: str | None) -> argparse.ArgumentParser:
    """Return a parser of the command line that is described by the first line of a script's docstring."""
    return argparse.ArgumentParser(description=(docstring or "").splitlines()[0])


def machine(device: str = "cpu") -> str:
    """Return what the figures were measured on, and when."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()} CPU, {os.cpu_count()} cores"
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, {time.strftime('%F')}"


def row(*cells: object) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def heads(*names: str) -> str:
    """Return the two lines that begin a table."""
    return f"{row(*names)}\n|{' --- |' * len(names)}"


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Return what some work returns, and the seconds that it took."""
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began
