"""What long videos of the generator promise: events and pauses where the truth says."""

from pathlib import Path

import numpy as np

from training.long_movie import LongMovie, write


def test_events_are_where_the_truth_says() -> None:
    """In a pause nothing moves; in an event the object is within its box, and events follow each other with pauses."""
    movie = LongMovie(3, 3, (64, 48), 5, (1.0, 2.0), labels=[0, 4, 7])
    frames = np.stack(list(movie.pictures())).astype(int)
    assert len(frames) == round(movie.seconds * 5)
    assert [event.label for event in movie.events] == [0, 4, 7]
    ends = [0.0, *(event.end for event in movie.events)]
    starts = [*(event.start for event in movie.events), movie.seconds]
    for end, start in zip(ends, starts, strict=True):
        still = frames[round(end * 5) : round(start * 5)]
        assert len(still) >= 5
        assert (still == still[0]).all()
    for event in movie.events:
        pause = frames[round(event.start * 5) - 1]
        assert len(event.boxes) == round((event.end - event.start) * 5)
        for number, (x0, y0, x1, y1) in enumerate(event.boxes.tolist()):
            changed = np.abs(frames[round(event.start * 5) + number] - pause).max(-1) > 60
            assert changed[y0:y1, x0:x1].mean() > 0.2
            assert changed.sum() - changed[y0:y1, x0:x1].sum() <= 0.02 * changed.size


def test_a_seed_gives_one_video(tmp_path: Path) -> None:
    """Two videos of one seed have the same frames and events, and the file that is written has them all."""
    one, other = LongMovie(5, 1, (64, 48), 5), LongMovie(5, 1, (64, 48), 5)
    np.testing.assert_array_equal(np.stack(list(one.pictures())), np.stack(list(other.pictures())))
    events = write(tmp_path / "long.mp4", LongMovie(5, 1, (64, 48), 5))
    assert [(event.label, event.start, event.end) for event in events] == [
        (event.label, event.start, event.end) for event in one.events
    ]
    assert (tmp_path / "long.mp4").stat().st_size > 0
