"""`Explanation.save`: the ending of the name chooses the form."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from staa_client._frames import Frame, Frames
from staa_client._types import Explanation
from staa_client.video import frames_at


def save(explanation: Explanation, path: Path, video: Path | bytes | Frames | None) -> Path:
    """See `Explanation.save`."""
    data = _form(path)(explanation, explanation.source if video is None else video)
    path.write_bytes(data)
    return path


def check(path: Path) -> None:
    """Raise ValueError if the name's ending is no known form, or its folder does not exist."""
    _form(path)
    if not path.parent.is_dir():
        msg = f"there is no folder {path.parent}: make it, or name another"
        raise ValueError(msg)


def _form(path: Path) -> Callable[[Explanation, Path | bytes | Frames | None], bytes]:
    if path.suffix.lower() not in FORMS:
        msg = f"an explanation is saved as one of {', '.join(FORMS)}, got {path.name!r}"
        raise ValueError(msg)
    return FORMS[path.suffix.lower()]


def clip_frames(explanation: Explanation, source: Path | bytes | Frames | None) -> tuple[list[Frame] | None, str]:
    """The T frames of the clip, and ""; or None, and why there are none.

    Raises:
        ValueError: the source is not the video that was explained.
    """
    if source is None:
        return None, "drawn without frames: no video was given"
    try:
        frames = frames_at(source, explanation.clip.frames)
    except ImportError as reason:
        return None, f"drawn without frames: {str(reason).partition(': ')[2]}"
    wanted = (explanation.clip.height, explanation.clip.width)
    if frames[0].shape[:2] != wanted:
        height, width = frames[0].shape[:2]
        msg = f"the explained video has {wanted[1]}x{wanted[0]} pixels, this one {width}x{height}: is it the same file?"
        raise ValueError(msg)
    return frames, ""


def _html(explanation: Explanation, source: Path | bytes | Frames | None) -> bytes:
    from staa_client.report import report  # noqa: PLC0415  # pictures load Pillow, numbers need none of it

    return report(explanation, *clip_frames(explanation, source)).encode()


def _png(explanation: Explanation, source: Path | bytes | Frames | None) -> bytes:
    from staa_client.render import contact_sheet  # noqa: PLC0415  # pictures load Pillow, numbers need none of it

    buffer = io.BytesIO()
    contact_sheet(explanation, *clip_frames(explanation, source)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _json(explanation: Explanation, _: Path | bytes | Frames | None) -> bytes:
    return json.dumps(explanation.to_dict(), ensure_ascii=False, indent=1).encode()


def _npz(explanation: Explanation, _: Path | bytes | Frames | None) -> bytes:
    reply = np.frombuffer(json.dumps(explanation.without_maps()).encode(), np.uint8)
    buffer = io.BytesIO()
    maps = {"temporal": explanation.temporal, "spatial": explanation.spatial, "joint": explanation.joint}
    signed = {} if explanation.signed is None else {"signed": explanation.signed}
    np.savez_compressed(buffer, reply=reply, **maps, **signed)  # type: ignore[arg-type]
    return buffer.getvalue()


FORMS: dict[str, Callable[[Explanation, Path | bytes | Frames | None], bytes]] = {
    ".html": _html,
    ".png": _png,
    ".json": _json,
    ".npz": _npz,
}
