"""Holds the examples that stand at the end of each command's help; the tests run them."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "predict": (
        ("the three best labels", "staa predict clip.mp4 --top-k 3"),
        ("all videos below a folder, a line each", "staa predict clips --recursive"),
    ),
    "explain": (
        ("labels, when and where, with the map", "staa explain clip.mp4"),
        ("a report that opens in a browser", "staa explain clip.mp4 -o clip.html --verify 4"),
        ("what speaks for one class", "staa explain clip.mp4 --target spins -o spins.png"),
        ("two methods side by side", "staa explain clip.mp4 --method staa --method rollout -o both.html"),
    ),
    "batch": (
        ("a folder into one file; again, it goes on", "staa batch clips -o answers.jsonl"),
        ("with a gallery of the maps", "staa batch clips --verify 4 --report gallery"),
    ),
    "watch": (
        ("a camera", "staa watch 0"),
        ("three windows of a file", "staa watch clip.mp4 --latency keep --count 3"),
        ("each map checked", "staa watch clip.mp4 --latency keep --verify 4"),
    ),
    "timeline": (
        ("what happens when in a long video", "staa timeline clip.mp4"),
        (
            "a page with the tracks, and chapters for players",
            "staa timeline clip.mp4 -o clip-timeline.html -o clip.vtt",
        ),
    ),
    "models": (("what is served, and its workers", "staa models"),),
    "ready": (("wait for a model, a minute at most", "staa ready motions --wait 60"),),
    "card": (
        ("labels, methods and limits of a model", "staa card motions"),
        ("the same for a program", "staa card motions --json"),
    ),
    "replay": (
        ("keep what was explained", "staa explain clip.mp4 --store kept.jsonl"),
        ("ask again, and compare", "staa replay kept.jsonl:1 clip.mp4"),
    ),
}
"""Name of a command -> what an example does, and its line."""


def examples(command: str) -> str:
    """Return the examples of a command as the end of its help."""
    wide = max(len(line) for _, line in EXAMPLES[command])
    lines = [f"  {line:<{wide}}  # {about}" for about, line in EXAMPLES[command]]
    if max(map(len, lines)) > 78:
        lines = [text for about, line in EXAMPLES[command] for text in (f"  # {about}", f"  {line}")]
    return "\n".join(["\b", "Examples:", *lines])  # the sign keeps the lines as they are
