"""What demo.sh shows: a clip goes to a running server, the answer is printed beside the truth and drawn."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from staa_client import Client, Explanation, StaaError


def main() -> None:
    """Show; what the server or a file says no to is a line on the standard error, and exit code 1."""
    try:
        show()
    except (StaaError, OSError, ValueError) as reason:
        sys.exit(f"demo: {' '.join(str(reason).split())}")


def show() -> None:
    """Ask for labels, then for labels and maps; print, compare, draw."""
    parser = argparse.ArgumentParser(prog="python examples/demo.py", description="Ask a running server and draw.")
    parser.add_argument("video", type=Path)
    parser.add_argument("--server", required=True)
    parser.add_argument("--truth", type=Path, help="what training.movie wrote beside the clip")
    parser.add_argument("--output", type=Path, default=Path("demo-out"))
    options = parser.parse_args()
    with Client(options.server) as client:
        labels = client.predict(options.video, model="motions")
        explanation = client.explain(options.video, model="motions", verify=4)
    print(f"POST /predictions/motions   {labels.predictions[0].label} ({labels.predictions[0].score:.1%})")
    print("POST /explanations/motions")
    for guess in explanation.predictions:
        print(f"    {guess.label:<12} {guess.score:6.1%}")
    if explanation.model.about:
        print(f"    {explanation.model.about}")
    print("when  the strongest seconds")
    for moment in explanation.top(3):
        print(f"    {moment.start:5.2f} - {moment.end:5.2f} s   {moment.share:6.1%} of the attention")
    best = explanation.top(1)[0]
    clip = explanation.clip
    print(f"where the strongest region of {best.start:.2f} - {best.end:.2f} s, pixels of {clip.width} x {clip.height}")
    print("    x {} - {}, y {} - {}".format(*(best.region[i] for i in (0, 2, 1, 3))))
    if (check := explanation.faithfulness) is not None:
        print(f"check {check.message} ({check.clips} more clips through the model, {check.seconds:.1f} s)")
    for note in clip.notes:
        print(f"note  {note}")
    if options.truth:
        compare(explanation, json.loads(options.truth.read_text()))
    options.output.mkdir(parents=True, exist_ok=True)
    explanation.save(options.output / "overlay.png")
    explanation.save(options.output / "report.html")


def compare(explanation: Explanation, truth: dict[str, Any]) -> None:
    """Print the truth of a generated clip and how the answer meets it."""
    best = explanation.top(1)[0]
    start, end = truth["when"]
    frame = int(explanation.clip.frames[best.step * len(explanation.clip.frames) // len(explanation.seconds)])
    box = truth["boxes"][frame]
    # the middle of the hottest cell must lie on the object
    row, column = divmod(int(explanation.joint[best.step].argmax()), explanation.joint.shape[2])
    x0, y0, x1, y1 = explanation.box
    x = x0 + (column + 0.5) * (x1 - x0) / explanation.joint.shape[2]
    y = y0 + (row + 0.5) * (y1 - y0) / explanation.joint.shape[1]
    margin = (x1 - x0) / explanation.joint.shape[2] / 2
    on = box and box[0] - margin <= x <= box[2] + margin and box[1] - margin <= y <= box[3] + margin
    verdicts = {
        f"label  {truth['label']}": explanation.predictions[0].label == truth["label"],
        f"when   {start:.2f} - {end:.2f} s": best.start < end and best.end > start,
        "where  " + ("x {0} - {2}, y {1} - {3}".format(*box) if box else "not to be seen at that time"): bool(on),
    }
    print(
        "truth the clip was generated, so it is known; met: same label, the best step overlaps, its best cell touches"
    )
    for text, met in verdicts.items():
        print(f"    {text:<34} {'met' if met else 'MISSED'}")


if __name__ == "__main__":
    main()
