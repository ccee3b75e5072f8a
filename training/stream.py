"""An endless stream of training batches: clips drawn on the fly in worker processes, augmented with their labels."""

import ctypes
import itertools
import multiprocessing as mp
from collections.abc import Callable, Iterator
from multiprocessing.sharedctypes import Synchronized

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from training.clips import CURRICULUM, draw, moments, render

TRAINING_SEEDS = 0
VALIDATION_SEEDS = 1_000_000_000
"""Seeds of training and of measuring never meet."""
MEAN, STD = 0.45, 0.225
MIRRORED = torch.tensor([1, 0, 2, 3, 4, 5, 6, 7])
FLIPPED = torch.tensor([0, 1, 3, 2, 4, 5, 6, 7])
TRANSPOSED = torch.tensor([2, 3, 0, 1, 4, 5, 6, 7])
REVERSED = torch.tensor([1, 0, 3, 2, 5, 4, 6, 7])
"""The label of a clip after the augmentation, for each label before it."""

CHANGES: tuple[tuple[Callable[[Tensor], Tensor], Tensor], ...] = (
    (lambda clips: clips.flip(3), MIRRORED),
    (lambda clips: clips.flip(2), FLIPPED),
    (lambda clips: clips.transpose(2, 3), TRANSPOSED),
    (lambda clips: clips.flip(1), REVERSED),
)
"""What becomes of clips (B, T, S, S, 3), and of their labels."""
Batch = tuple[Tensor, Tensor]


def clip(seed: int, frames: int, size: int, stage: int = -1) -> tuple[np.ndarray, int]:
    """Return a square clip (frames, size, size, 3) uint8 and its label, wholly given by the seed."""
    rng = np.random.default_rng(seed)
    scene = draw(rng, CURRICULUM[stage])
    sample = render(scene, moments(frames, int(rng.integers(frames, 500))), size, size, rng)
    return sample.frames, sample.label


class Stream(IterableDataset[Batch]):
    """Batches of clips (B, T, S, S, 3) uint8 and labels (B,), never the same clip twice."""

    def __init__(self, batch: int, frames: int, size: int, seed: int, done: int = 0) -> None:
        """Begin a stream; `done` is the number of batches that a resumed training has used up."""
        self.batch, self.frames, self.size, self.seed, self.done = batch, frames, size, seed, done
        self.stage: Synchronized[int] = mp.Value(ctypes.c_int, 0)
        """Stage of the curriculum, set by the trainer while the workers run."""

    def __iter__(self) -> Iterator[Batch]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        torch.set_num_threads(1)
        for index in itertools.count(self.done + worker, workers):
            first = TRAINING_SEEDS + self.seed * 50_000_000 + index * self.batch
            seeds = range(first, first + self.batch)
            frames, labels = zip(*(clip(seed, self.frames, self.size, self.stage.value) for seed in seeds), strict=True)
            yield torch.from_numpy(np.stack(frames)), torch.tensor(labels)

    def loader(self, workers: int) -> DataLoader[Batch]:
        """Return the stream as so many processes make it."""
        return DataLoader(self, batch_size=None, num_workers=workers, prefetch_factor=4)


def augment(clips: Tensor, labels: Tensor) -> Batch:
    """Mirror, flip, transpose and reverse in time each with probability 1/2; permute and invert the colours."""
    for change, labels_after in CHANGES:
        if torch.rand(()) < 0.5:
            clips, labels = change(clips), labels_after.to(labels.device)[labels]
    clips = clips[..., torch.randperm(3)]
    if torch.rand(()) < 0.3:
        clips = 255 - clips
    return clips, labels


def normalise(clips: Tensor) -> Tensor:
    """Turn (B, T, H, W, 3) uint8 into (B, T, 3, H, W) as the model's image processor does it."""
    return clips.permute(0, 1, 4, 2, 3).float().div_(255).sub_(MEAN).div_(STD).contiguous()
