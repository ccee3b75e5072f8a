"""Writes the report of each video of a batch into a folder, and the gallery of all of them as its index.html."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from staa_client import _late, files
from staa_client.batch.key import key_of
from staa_client.batch.plan import BatchItem, answer_of
from staa_client.pictures.layer import Layer
from staa_client.results.draft import drafted
from staa_client.results.explanation import Explanation
from staa_client.video.source import Link, Source, is_data_url, is_url

_MOST_CHARACTERS = 60
"""The most characters of a video's name in the name of its report."""
_HEAD_BYTES = 1000


class ReportFolder:
    """Holds the folder of a batch's reports. It is made at the start, so that a wrong path is told before any question.

    Raises:
        OSError: the folder cannot be made, is a file, or has a page of somebody else where the gallery goes.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._page = folder, folder / "index.html"
        if self._page.exists() and _late.load("GENERATOR") not in _head_of(self._page):
            msg = f"{self._page} is no gallery of this program, and would be overwritten: name another folder"
            raise FileExistsError(msg)
        self._tiles: list[object] = []

    @property
    def answers(self) -> Path:
        """Return the file of the answers if no other one is named."""
        return self.folder / "answers.jsonl"

    def add(self, item: BatchItem, video: str, request: str) -> Iterator[tuple[str, Exception]]:
        """Write the report of an item, if it has a map; yield what cannot be written or drawn, with the errors.

        A report that an earlier run wrote of the same answer stays as it is.

        Args:
            item: The answer or the error.
            video: The video as the caller named it.
            request: What was asked, as text.
        """
        tile, thumbnail_of = _late.load("Tile"), _late.load("thumbnail_of")
        answer = answer_of(item)
        if answer is None:
            self._tiles.append(tile(item.source, error=" ".join(str(item.error).split())))
            return
        page, picture, error = None, None, ""
        source: Source | None = None if is_url(video) or is_data_url(video) else Path(video)
        if isinstance(answer, Explanation):
            if answer.source is None and isinstance(source, Path):  # from the file of answers
                answer = replace(answer, source=source, name=source.name)
            source, page = answer.source, page_name(video, request)
        try:
            picture = thumbnail_of(answer, source)
            if isinstance(answer, Explanation) and not (item.resumed and (self.folder / str(page)).exists()):
                files.save(self.folder / str(page), answer)
        except (OSError, ValueError, ImportError) as reason:
            page, error = None, f"no report: {' '.join(str(reason).split())}"
            yield item.source, reason
        about: dict[str, Any] = {"about": answer.model.about, "notes": answer.clip.notes}
        if isinstance(answer, Explanation):
            layer = Layer(answer)
            about |= {"badge": layer.badge, "subject": layer.class_words, "notes": tuple(layer.note_lines)}
        elif answer.not_explained is not None:
            about["why_not"] = str(answer.not_explained)
        self._tiles.append(tile(item.source, answer.predictions, page=page, thumbnail=picture, error=error, **about))

    def finish(self) -> Path:
        """Write the gallery, and return its path.

        Raises:
            OSError: it cannot be written.
        """
        text = _late.load("render_gallery")(self._tiles, self.folder.resolve().name or "Videos")
        with drafted(self._page) as draft:
            draft.write_text(text, "utf-8")
        return self._page


def _head_of(page: Path) -> str:
    """Return the beginning of a page, in which the name of the program stands that made it."""
    with page.open("rb") as file:
        return file.read(_HEAD_BYTES).decode("utf-8", "replace")


def page_name(video: str, request: str) -> str:
    """Return the name of a video's report, which is the same in each run that asks the same of the same file."""
    key, _ = key_of(video)
    digest = hashlib.sha256(f"{key.identity}\n{key.stamp}\n{request}".encode("utf-8", "surrogatepass"))
    name = "video" if is_data_url(video) else Link(video).name if is_url(video) else Path(video).name
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(name).stem).strip("._")[:_MOST_CHARACTERS]
    return f"{stem or 'video'}-{digest.hexdigest()[:12]}.html"
