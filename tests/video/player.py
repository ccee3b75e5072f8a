"""What an independent player makes of the awkward videos: the program ffmpeg, version 5.1, as Debian 12 builds it.

`python -m tests.video.player` runs it (apt-get install ffmpeg) and writes what it shows to player.json, which the
tests hold against this project's own decoder. The program shares none of this project's code, and its libraries are
three major versions older than those that PyAV brings.
"""

import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from tests.made.awkward import TABLE, number
from tests.made.formats import FORMATS

FILE = Path(__file__).with_suffix(".json")
PNG = b"\x89PNG\r\n\x1a\n"
VIDEOS = {name: case for name, case in (TABLE | FORMATS).items() if not case.refused}
"""Every awkward video that is taken."""


def shown(name: str) -> dict[str, Any]:
    """Return the numbers that the pictures of a video show, their times in seconds, and the size of the first."""
    case = VIDEOS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        path.write_bytes(case.make())
        # numbers and times come from one run, so that each time is that of its picture
        draw = ["ffmpeg", "-loglevel", "info", "-i", str(path), "-fps_mode", "passthrough", "-vf", "showinfo"]
        done = subprocess.run([*draw, "-c:v", "png", "-f", "image2pipe", "-"], capture_output=True, check=False)
        if done.returncode or not done.stdout:
            return {"refused": done.stderr.decode().strip().splitlines()[-1].replace(folder, "")}
    images = [PIL.Image.open(io.BytesIO(PNG + part)).convert("RGB") for part in done.stdout.split(PNG)[1:]]
    seconds = re.findall(rb"pts_time:\s*(\S+)", done.stderr)
    return {
        "numbers": [number(np.asarray(image), case.matrix) for image in images],
        "seconds": [round(float(each), 4) for each in seconds],
        "size": list(images[0].size),
    }


def main() -> None:
    """Record what the player shows."""
    version = subprocess.run(["ffmpeg", "-version"], capture_output=True, check=True, text=True).stdout.split()[2]
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(shown(name))}" for name in VIDEOS)
    FILE.write_text(f'{{\n  "player": "ffmpeg {version}",\n  "videos": {{\n{lines}\n  }}\n}}\n')
    sys.stdout.write(f"{len(VIDEOS)} videos: {FILE.name}\n")


if __name__ == "__main__":
    main()
