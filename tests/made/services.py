"""A service of a tiny model whose clock, decoder and passes are a test's."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from staa import Clip, Explainer, Limits
from staa.recipe import Recipe
from staa.serving import Incoming, Service, Settings
from staa.types import Forward
from tests.made import families
from tests.made.families import VARIANTS


class Clock:
    """Tell the time that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the seconds that it shows."""
        return self.now


class Scripted(Explainer):
    """Explain, or let the test answer in its place; it gets the true way to go on."""

    on_forward: Callable[..., Any] | None = None
    on_choose: Callable[..., Any] | None = None
    on_verify: Callable[..., Any] | None = None
    works = True

    def forward(self, pixels: torch.Tensor, rows: Sequence[int] | Mapping[int, str]) -> Forward:
        """Run a pass, or what the test has for it."""
        if self.on_forward is None:
            return super().forward(pixels, rows)
        forward: Forward = self.on_forward(super().forward, pixels, rows)
        return forward

    def choose(self, *arguments: Any) -> Any:
        """Choose a map, or do what the test has for it."""
        return self.on_choose(super().choose, *arguments) if self.on_choose else super().choose(*arguments)

    def verify(self, *arguments: Any, **named: Any) -> Any:
        """Check a map, or do what the test has for it."""
        return self.on_verify(super().verify, *arguments) if self.on_verify else super().verify(*arguments, **named)

    def device_works(self) -> bool:
        """Tell what the test says."""
        return self.works


def scripted() -> Scripted:
    """Return an explainer of a tiny ViViT."""
    model = VARIANTS["vivit"].make()
    return Scripted(copy.deepcopy(model), Recipe.read(families.processor(model)))


def service(explainer: Explainer | None = None, *, settings: Settings | None = None, **home: Any) -> Service:
    """Return a service that decodes one video after the other, in passes of one unless told otherwise."""
    settings = settings or Settings("tiny", decoders=1, verify_seconds=30, limits=Limits(seconds=30))
    return Service(explainer or scripted(), settings, **{"name": "tiny", "version": "1.0"} | home)


def ask(
    service: Service, bodies: Sequence[Any], *headers: dict[str, str], explain: bool = True
) -> tuple[list[Any], list[int]]:
    """Return the replies to a batch as JSON, and their statuses."""
    came = [
        Incoming({"body": body}, more, explain, f"request-{index}")
        for index, (body, more) in enumerate(zip(bodies, headers or [{}] * len(bodies), strict=True))
    ]
    replies = service.answer(came)
    return [json.loads(reply.body) for reply in replies], [int(reply.status) for reply in replies]


def slow_decode(clock: Clock, seen: list[float], seconds: float = 10) -> Any:
    """Return a decoder that takes so long by the clock, and notes the seconds that it was given."""

    def decode(_video: bytes, frames: int, _start: object, _end: object, limits: Any, _scale: object) -> Clip:
        seen.append(limits.seconds)
        clock.now += seconds
        images = np.zeros((frames, 48, 64, 3), np.uint8)
        return Clip(images, np.arange(frames) / 25, np.arange(frames), 25.0, frames / 25)

    return decode
