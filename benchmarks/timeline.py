"""Timelines of long videos against the truth, and how fast they are: `python -m benchmarks.timeline`.

Each video is composed of events of the generator, of random labels, with pauses of 4 to 8 s; its seeds are none that
training draws, nor those that the thresholds were chosen with. The handler's own service of the default model answers
inside of this process, so there is neither TorchServe nor a network. `--hour` takes one video of an hour instead, in
320x240 at 25 frames a second: five minutes of events, repeated without encoding them again.
"""

import argparse
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av
import httpx2
import numpy as np

from staa_client import Client, Span, Timeline
from tests.made.inside import default_model
from training.clips import LABELS
from training.long_movie import Event, LongMovie, write
from training.stream import VALIDATION_SEEDS

SEEDS = VALIDATION_SEEDS + 900_000
HIT_SHARE = 0.1
"""The least overlap of a span with an event that it is taken for."""


@dataclass(frozen=True)
class Figures:
    """What was measured on one video."""

    overlaps: list[float]
    """Of each event with the best span of its label: intersection over union."""
    without_maps: list[float]
    """The same for spans whose times come from scores alone."""
    long_right: list[bool]
    """Of each span longer than two strides: whether its label is that of the event that it overlaps most."""
    all_right: list[bool]
    """The same for all spans."""
    hits: list[bool]
    """Of each map: whether its strongest cell is at the object."""
    seconds: float
    """Length of the video."""
    spent: float
    """Wall time, seconds."""


def overlap(start: float, end: float, span: Span) -> float:
    """Return the intersection of an event and a span over their union."""
    inside = max(0.0, min(end, span.end) - max(start, span.start))
    return inside / (end - start + span.end - span.start - inside)


def at_the_object(span: Span, event: Event, fps: int) -> bool:
    """Tell whether the strongest cell of a span's map touches the object at that moment, or a third of a second off."""
    found = span.explanation
    if found is None:
        return False
    t, row, column = np.unravel_index(int(found.joint.argmax()), found.joint.shape)
    second = float(found.seconds[t].mean())
    frames = [round((second - event.start) * fps) + off for off in (-fps // 3, 0, fps // 3)]
    x0, y0, x1, y1 = found.box
    _, h, w = found.joint.shape
    wide, tall = (x1 - x0) / w, (y1 - y0) / h
    x, y = x0 + (column + 0.5) * wide, y0 + (row + 0.5) * tall
    boxes = event.boxes[np.clip(frames, 0, len(event.boxes) - 1)].tolist()
    return any(b[0] - wide <= x <= b[2] + wide and b[1] - tall <= y <= b[3] + tall for b in boxes if b[2])


def best_overlap(made: Timeline, event: Event) -> float:
    """Return the overlap of an event with the best span of its label."""
    same = [overlap(event.start, event.end, span) for span in made.known if span.class_id == event.label]
    return max(same, default=0.0)


def compare(made: Timeline, coarse: Timeline, events: list[Event], fps: int, spent: float) -> Figures:
    """Return the figures of one video, of a timeline with maps and of one without."""
    long_right, all_right, hits = [], [], []
    for span in made.known:
        event = max(events, key=lambda event: overlap(event.start, event.end, span))
        share = overlap(event.start, event.end, span)
        is_right = span.label == LABELS[event.label] and share > HIT_SHARE
        all_right.append(is_right)
        if span.end - span.start > 2 * made.stride:
            long_right.append(is_right)
        if share > HIT_SHARE:
            hits.append(at_the_object(span, event, fps))
    overlaps, without_maps = ([best_overlap(each, event) for event in events] for each in (made, coarse))
    return Figures(overlaps, without_maps, long_right, all_right, hits, made.duration, spent)


def table(measured: list[Figures]) -> str:
    """Return the figures of all videos as a table."""
    overlaps = [share for each in measured for share in each.overlaps]
    rows = [("mean IoU of events and spans", f"{np.mean(overlaps):.3f}", f"{len(overlaps)} events")]
    bare = [share for each in measured for share in each.without_maps]
    rows.append(("the same without maps (explain=False)", f"{np.mean(bare):.3f}", f"{len(bare)} events"))
    rows.append(("events without a span (IoU < 0.1)", f"{np.mean(np.array(overlaps) < HIT_SHARE):.3f}", ""))
    for name, words in (
        ("long_right", "label right, spans longer than two strides"),
        ("all_right", "label right, all spans"),
        ("hits", "strongest cell of the map at the object"),
    ):
        values = [value for each in measured for value in getattr(each, name)]
        rows.append((words, f"{np.mean(values):.3f}" if values else "-", f"{len(values)} spans"))
    seconds, spent = sum(each.seconds for each in measured), sum(each.spent for each in measured)
    rows.append(("speed, times real time", f"{seconds / spent:.1f}", f"{seconds:.0f} s of video in {spent:.0f} s"))
    lines = [f"| {len(measured)} videos | measured | of |", "| --- | --- | --- |"]
    return "\n".join(lines + [f"| {a} | {b} | {c} |" for a, b, c in rows])


def repeated(path: Path, times: int) -> Path:
    """Write a video one after the other so many times, without encoding it again."""
    target = path.with_name("hour.mp4")
    with av.open(str(path)) as source, av.open(str(target), "w") as output:
        stream = source.streams.video[0]
        copy = output.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        length = max((packet.pts or 0) + (packet.duration or 0) for packet in packets)
        for turn in range(times):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.size and packet.pts is not None and packet.dts is not None:
                    packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                    packet.stream = copy
                    output.mux(packet)
    return target


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timeline", description="Timelines against the truth.")
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--events", type=int, default=6)
    parser.add_argument("--hour", action="store_true", help="one video of an hour in 320x240 instead")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        default_model() as inside,
        Client(transport=httpx2.MockTransport(inside)) as client,
    ):
        path = Path(folder) / "long.mp4"
        if options.hour:
            write(path, LongMovie(SEEDS, 29, (320, 240), 25))
            with av.open(str(path)) as source:
                length = float(source.duration or 0) / 1e6
            hour = repeated(path, round(3600 / length))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            began = time.perf_counter()
            made = client.timeline(hour)
            spent = time.perf_counter() - began
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(f"{made.duration:.0f} s of 320x240, {len(made.starts)} windows, {len(made.known)} spans")
            print(f"{spent:.0f} s, {made.duration / spent:.1f} times real time; peak memory grew by {grown:.0f} MiB")
            return
        measured = []
        for number in range(options.videos):
            movie = LongMovie(SEEDS + number, options.events)
            events = write(path, movie)
            began = time.perf_counter()
            made = client.timeline(path)
            spent = time.perf_counter() - began
            coarse = client.timeline(path, explain=False)
            measured.append(compare(made, coarse, events, movie.fps, spent))
            mean = np.mean(measured[-1].overlaps)
            print(f"video {number}: {made.duration:.0f} s, mean IoU {mean:.2f}", flush=True)
        print(table(measured))


if __name__ == "__main__":
    main()
