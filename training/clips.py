"""Clips of one object that performs one of eight motions: where (a mask a frame) and when (an interval) are known.

A scene is drawn in units that no resolution enters: lengths in shares of the frame's short side, times in shares of the
clip. `render` then gives the same scene at the size and the times that are wanted: 96 px for training, 320x240 at
25 frames a second for a video file.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LABELS = ("moves left", "moves right", "moves up", "moves down", "grows", "shrinks", "blinks", "spins")
Shape = Literal["disk", "square", "diamond", "bar", "cross"]
SHAPES: tuple[Shape, ...] = ("disk", "square", "diamond", "bar", "cross")
DIRECTIONS = {"moves left": (-1, 0), "moves right": (1, 0), "moves up": (0, -1), "moves down": (0, 1)}
STEPS = 16
"""Speeds and lengths are stated for a clip seen in this many steps."""
SLACK = 0.75
"""How far the background reaches beyond the frame, for its drift."""

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Difficulty:
    """What makes a scene hard. The defaults are the full task."""

    noise: tuple[float, float] = (2.0, 10.0)
    """Standard deviation of the noise, grey levels."""
    distractors: int = 2
    """At most so many objects that stand still or jitter."""
    steps: tuple[int, int] = (5, 9)
    """Length of the event, steps of `STEPS`."""
    radius: tuple[float, float] = (0.094, 0.148)
    """Radius of the object, shares of the short side."""
    contrast: float = 1.0
    """Of the background."""
    drift: float = 0.0125
    """Largest speed of the background, short sides a step."""


CURRICULUM = (
    Difficulty((1.0, 3.0), 0, (12, 16), (0.14, 0.20), 0.2, 0.0),
    Difficulty((2.0, 6.0), 1, (8, 13), (0.11, 0.17), 0.6, 0.006),
    Difficulty(),
)


@dataclass(frozen=True)
class Thing:
    """One object: the one that moves, or a distractor."""

    kind: str
    """One of LABELS, "still" or "jitters"."""
    shape: Shape
    centre: tuple[float, float]
    """Mean position x, y; 0, 0 is the middle of the frame, units short sides."""
    radius: float
    colour: NDArray[np.float64]
    """(3,) RGB, grey levels."""
    start: float
    end: float
    """Visible from start to end, shares of the clip."""
    angle: float
    speed: float
    """Short sides a step (moves), radians a step (spins) or steps a state (blinks)."""
    knots: NDArray[np.float64]
    """(N, 2) displacements that a jittering object passes through, short sides."""

    def pose(self, time: float) -> tuple[float, float, float, float] | None:
        """Return position x, y, radius and angle at a time of the clip, or None where it is not to be seen."""
        if not self.start <= time < self.end:
            return None
        x, y = self.centre
        radius, angle = self.radius, self.angle
        steps = (time - (self.start + self.end) / 2) * STEPS
        share = (time - self.start) / (self.end - self.start)
        if self.kind in DIRECTIONS:
            dx, dy = DIRECTIONS[self.kind]
            x, y = x + dx * self.speed * steps, y + dy * self.speed * steps
        elif self.kind == "grows":
            radius *= 0.45 + 1.05 * share
        elif self.kind == "shrinks":
            radius *= 1.5 - 1.05 * share
        elif self.kind == "spins":
            angle += self.speed * steps
        elif self.kind == "blinks" and int((time - self.start) * STEPS / self.speed) % 2:
            return None
        elif self.kind == "jitters":
            at = share * (len(self.knots) - 1)
            x += float(np.interp(at, np.arange(len(self.knots)), self.knots[:, 0]))
            y += float(np.interp(at, np.arange(len(self.knots)), self.knots[:, 1]))
        return x, y, radius, angle

    def reach(self) -> tuple[float, float]:
        """Return how far it extends from its centre to each side, x and y."""
        grown = self.radius * (1.65 if self.kind in {"grows", "shrinks"} else 1.15)
        path = self.speed * (self.end - self.start) * STEPS / 2
        dx, dy = DIRECTIONS.get(self.kind, (0, 0))
        jitter = float(np.abs(self.knots).max()) if self.kind == "jitters" else 0.0
        return grown + abs(dx) * path + jitter, grown + abs(dy) * path + jitter


@dataclass(frozen=True)
class Scene:
    """Everything that is to be seen in one clip; the first thing is the one that the label names."""

    label: int
    things: tuple[Thing, ...]
    """In painting order."""
    octaves: tuple[Image, ...]
    """Grids (g, g, 3) whose interpolated sum is the background."""
    tint: NDArray[np.float64]
    contrast: float
    origin: tuple[float, float]
    drift: tuple[float, float]
    """Of the background, short sides a clip, x and y."""
    noise: float

    @property
    def subject(self) -> Thing:
        """Return the thing that performs the motion."""
        return next(thing for thing in self.things if thing.kind == LABELS[self.label])


@dataclass(frozen=True)
class Sample:
    """A rendered scene and its truth."""

    frames: NDArray[np.uint8]
    """(T, H, W, 3) RGB."""
    mask: NDArray[np.bool_]
    """(T, H, W): where the object is."""
    distractors: NDArray[np.bool_]
    """(T, H, W): where the distractors are."""
    when: NDArray[np.bool_]
    """(T,): whether the event is going on."""
    label: int


def draw(rng: np.random.Generator, difficulty: Difficulty = CURRICULUM[-1], label: int | None = None) -> Scene:
    """Return a random scene of a random label, or of the one that is given."""
    label = int(rng.integers(len(LABELS))) if label is None else label
    tint = rng.uniform(60, 130, 3)
    kinds = [LABELS[label]]
    kinds += [str(rng.choice(["still", "jitters"])) for _ in range(rng.integers(0, difficulty.distractors + 1))]
    things: list[Thing] = []
    for index in rng.permutation(len(kinds)):
        things.append(_place(rng, _thing(rng, kinds[index], tint, difficulty), things))
    grids = ((5, 22.0), (12, 13.2), (25, 8.8))
    octaves = tuple((rng.standard_normal((size, size, 3)) * scale).astype(np.float32) for size, scale in grids)
    drift_x, drift_y = rng.uniform(-difficulty.drift, difficulty.drift, 2) * STEPS
    x, y = rng.uniform(0.25, 0.5, 2)
    return Scene(
        label=label,
        things=tuple(things),
        octaves=octaves,
        tint=tint,
        contrast=difficulty.contrast,
        origin=(x, y),
        drift=(drift_x, drift_y),
        noise=rng.uniform(*difficulty.noise),
    )


def _thing(rng: np.random.Generator, kind: str, tint: NDArray[np.float64], difficulty: Difficulty) -> Thing:
    shortest, longest = difficulty.steps
    length = rng.uniform(shortest, longest if kind in LABELS else STEPS) / STEPS
    start = rng.uniform(0, 1 - length)
    colour = np.clip(tint + rng.choice([-1, 1]) * rng.uniform(55, 110) + rng.uniform(-40, 40, 3), 0, 255)
    if np.abs(colour - tint).mean() < 45:
        colour = np.where(tint > 110, tint - 70, tint + 90)
    speeds = {"spins": rng.choice([-1, 1]) * rng.uniform(0.35, 0.6), "blinks": rng.uniform(1.0, 1.6)}
    shapes = SHAPES[-2:] if kind == "spins" else SHAPES
    return Thing(
        kind=kind,
        shape=shapes[rng.integers(len(shapes))],
        centre=(0.0, 0.0),
        radius=rng.uniform(*difficulty.radius),
        colour=colour,
        start=start,
        end=start + length,
        angle=rng.uniform(0, np.pi),
        speed=speeds.get(kind, rng.uniform(0.025, 0.047)),
        knots=rng.normal(0, 0.0234, (max(2, round(length * STEPS * 1.3)), 2)),
    )


def _place(rng: np.random.Generator, thing: Thing, others: list[Thing]) -> Thing:
    """Put a thing wholly inside the central square, apart from the others where 30 tries find room."""
    x_reach, y_reach = thing.reach()
    x = y = 0.0
    for _ in range(30):
        x = rng.uniform(-1, 1) * max(0.5 - x_reach, 0.02)
        y = rng.uniform(-1, 1) * max(0.5 - y_reach, 0.02)
        gaps = [(abs(x - o.centre[0]) - o.reach()[0], abs(y - o.centre[1]) - o.reach()[1]) for o in others]
        if all(dx > x_reach or dy > y_reach for dx, dy in gaps):
            break
    return replace(thing, centre=(x, y))


def moments(frames: int, of: int) -> NDArray[np.float64]:
    """Return (frames,) times of a uniform sample, the first to the last of `of` source frames, shares of the clip."""
    return np.linspace(0, 1 - 1 / of, frames)


def render(
    scene: Scene, times: NDArray[np.float64], width: int, height: int, rng: np.random.Generator, *, noise: bool = True
) -> Sample:
    """Draw the scene at the given times (T,), shares of the clip; the generator is for the noise."""
    side = min(width, height)
    canvas = _background(scene, width, height, side)
    frames = np.empty((len(times), height, width, 3), np.float32)
    mask, distractors = np.zeros((2, len(times), height, width), bool)
    reach = np.array([canvas.shape[0] - height, canvas.shape[1] - width])
    for index, time in enumerate(times):
        shift = (np.array(scene.origin) + np.array(scene.drift) * time) * side
        top, left = np.clip(np.rint(shift[::-1]), 0, reach).astype(int)
        frames[index] = canvas[top : top + height, left : left + width]
        for thing in scene.things:
            _paint(frames[index], (mask if thing is scene.subject else distractors)[index], thing, float(time), side)
    if noise:
        # a few fields, shifted and mirrored anew for every frame, look as fresh ones and cost a tenth
        fields = rng.standard_normal((4, height + 32, width + 32, 1), np.float32) * scene.noise
        for index in range(len(frames)):
            top, left = rng.integers(0, 32, 2)
            frames[index] += rng.choice([-1, 1]) * fields[rng.integers(4), top : top + height, left : left + width]
    when = (times >= scene.subject.start) & (times < scene.subject.end)
    np.clip(frames, 0, 255, out=frames)
    return Sample(frames.astype(np.uint8), mask, distractors, when, scene.label)


def _background(scene: Scene, width: int, height: int, side: int) -> Image:
    """Return a smooth texture (H + slack, W + slack, 3): the sum of bilinearly interpolated grids."""
    rows, columns = height + round(SLACK * side), width + round(SLACK * side)
    canvas = np.zeros((rows, columns, 3), np.float32)
    for grid in scene.octaves:
        # the texture's scale follows the short side; a longer side repeats the grid
        size = len(grid)
        down, across = (_weights(length, side * (1 + SLACK), size) for length in (rows, columns))
        mixed = np.tensordot(down, grid, (1, 0))
        canvas += np.tensordot(mixed, across, (1, 1)).transpose(0, 2, 1)
    return canvas * np.float32(scene.contrast) + scene.tint.astype(np.float32)


def _weights(length: int, period: float, size: int) -> Image:
    """Return weights (length, size): bilinear interpolation of a grid that repeats after `period` pixels."""
    at = np.arange(length) / period * size
    low = at.astype(int)
    share = (at - low).astype(np.float32)
    weights = np.zeros((length, size), np.float32)
    rows = np.arange(length)
    weights[rows, low % size] = 1 - share
    weights[rows, (low + 1) % size] += share
    return weights


def _paint(frame: Image, mask: NDArray[np.bool_], thing: Thing, time: float, side: int) -> None:
    pose = thing.pose(time)
    if pose is None:
        return
    height, width = mask.shape
    x, y, radius, angle = (pose[0] * side + width / 2, pose[1] * side + height / 2, pose[2] * side, pose[3])
    reach = int(np.ceil(radius * 1.5 + 2))
    top, bottom = max(0, int(y) - reach), min(height, int(y) + reach + 1)
    left, right = max(0, int(x) - reach), min(width, int(x) + reach + 1)
    if top >= bottom or left >= right:
        return
    dy, dx = np.mgrid[top:bottom, left:right].astype(np.float32)
    dx, dy = dx + 0.5 - np.float32(x), dy + 0.5 - np.float32(y)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    cover = np.clip(0.5 - _distance(thing.shape, cos * dx + sin * dy, cos * dy - sin * dx, radius), 0, 1)
    patch = frame[top:bottom, left:right]
    patch += cover[..., None] * (thing.colour.astype(np.float32) - patch)
    mask[top:bottom, left:right] |= cover > 0.5


def _distance(shape: Shape, u: Image, v: Image, size: float) -> Image:
    """Return pixels outside (positive) or inside (negative) of the shape's edge; all have about the same area."""
    u, v, radius = np.abs(u), np.abs(v), np.float32(size)
    if shape == "disk":
        return np.asarray(np.hypot(u, v) - radius)
    if shape == "square":
        return np.asarray(np.maximum(u, v) - radius * np.float32(0.88))
    if shape == "diamond":
        return np.asarray(u + v - radius * np.float32(1.2))
    thin = radius * np.float32(0.33)
    if shape == "bar":
        return np.asarray(np.maximum(u - radius * np.float32(1.15), v - radius * np.float32(0.38)))
    return np.asarray(np.minimum(np.maximum(u - radius, v - thin), np.maximum(u - thin, v - radius)))
