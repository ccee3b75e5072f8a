"""The client against each home: what its own tests show before a fake server."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from staa_client import AsyncClient, Client, NotFoundError, NotVideoError, StaaError, TooLargeError
from staa_client.cli import main
from tests.made.torchserve import Server
from training import long_movie, movie


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of four seconds with known truth."""
    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    movie.write(path, 7, None, (320, 240), 4.0, 25)
    return path


def test_readiness_card_and_models(client: Client) -> None:
    """The model is ready, its card is that of its configuration, and its worker is listed; another is not there."""
    client.wait_until_ready("motions", timeout=10)
    assert client.ready("motions")
    assert not client.ready("nobody")
    found = client.card("motions")
    assert (found.frames, found.size, found.model.family) == (16, (96, 96), "timesformer")
    (served,) = client.models()
    assert (served.name, served.workers, served.ready) == ("motions", 1, 1)
    with pytest.raises(NotFoundError, match="no model nobody is served here; served here: motions/"):
        client.predict(b"x", "nobody")


def test_frames_sampled_here_give_the_same_answer(client: Client, film: Path) -> None:
    """The same frames, box and label, nearly the same map, of a fraction of the bytes that its pixels would take."""
    whole, small = client.explain(film), client.explain(film, sample="client")
    np.testing.assert_array_equal(whole.clip.frames, small.clip.frames)
    np.testing.assert_array_equal(whole.clip.times, small.clip.times)
    assert (whole.box, whole.clip.width, whole.clip.duration) == (small.box, small.clip.width, small.clip.duration)
    assert whole.predictions[0].label == small.predictions[0].label
    assert np.abs(whole.joint - small.joint).sum() / 2 < 0.15
    start, end = whole.clip.times[4], whole.clip.times[12]
    one, other = (client.predict(film, start=start, end=end, sample=way) for way in ("server", "client"))
    np.testing.assert_array_equal(one.clip.frames, other.clip.frames)


def test_a_timeline_of_a_real_server_is_that_of_its_windows(client: Client, home: Server, tmp_path: Path) -> None:
    """Each window has the labels of a request for its seconds; the command writes spans that both clients find."""
    path = tmp_path / "long.mp4"
    events = long_movie.write(path, long_movie.LongMovie(5, 2, labels=[1, 4]))
    made = client.timeline(path)
    assert (made.window, made.stride, made.clip_seconds) == (10, 2.5, (8, 12))
    alone = client.predict(path, start=2.5, end=12.5, top_k=8, sample="client")
    scores = [p.score for p in sorted(alone.predictions, key=lambda p: p.class_id)]
    np.testing.assert_allclose(made.scores[1], scores, rtol=1e-4)  # five digits, the last by the size of the batch
    assert {span.class_id for span in made.known} <= {event.label for event in events}

    async def again() -> list[str]:
        async with AsyncClient(home.inference) as looped:
            return [span.label for span in (await looped.timeline(path)).spans]

    assert asyncio.run(again()) == [span.label for span in made.spans]
    output = tmp_path / "spans.jsonl"
    assert main(["timeline", str(path), "--server", home.inference, "-o", str(output)]) == 0
    assert len(output.read_text().splitlines()) == len(made.spans)


def test_many_at_once_have_each_their_own_answer(client: Client, home: Server, film: Path, tmp_path: Path) -> None:
    """A batch of different videos, noise among them, gives each its own answer, in order, by both clients."""
    films = [film]
    for seed in (8, 9, 10):
        films.append(tmp_path / f"{seed}.mp4")
        movie.write(films[-1], seed, None, (160, 120), 2.0, 25)
    alone = [client.explain(one) for one in films]
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"noise")
    sources = [*films, noise, *films]
    items = list(client.batch(sources, concurrency=6, on_error="collect", output=tmp_path / "out.parquet"))
    assert isinstance(items[4].error, NotVideoError)
    for item, expected in zip(items[:4] + items[5:], alone * 2, strict=True):
        np.testing.assert_allclose(item.explanation.joint, expected.joint, atol=2e-4)
        assert item.explanation.predictions[0].label == expected.predictions[0].label

    async def twin() -> list[str]:
        async with AsyncClient(home.inference) as other:
            return [item.source async for item in other.batch(films, explain=False, concurrency=4)]

    assert asyncio.run(twin()) == [str(one) for one in films]


def test_a_thread_safe_client(client: Client, film: Path) -> None:
    """One client in eight threads: every answer is the same."""
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(client.predict(film).predictions[0].label)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_file_is_watched(client: Client, film: Path) -> None:
    """Windows of a file are explained one after the other, each with its own seconds; short ones are warned about."""
    with (
        pytest.warns(UserWarning, match="trained on clips of 8 to 12 s"),
        client.watch(film, latency="keep", window=2.0, stride=1.0) as seen,
    ):
        sights = list(seen)
    assert [(sight.start, sight.error) for sight in sights] == [(0.0, None), (1.0, None), (2.0, None)]
    for sight in sights:
        assert sight.explanation is not None
        assert sight.start <= sight.explanation.seconds[0, 0] < sight.explanation.seconds[-1, 1] <= sight.end + 0.05


def test_errors_have_the_servers_words(client: Client, film: Path) -> None:
    """Status, code, message and request id of real refusals."""
    for call, code in (
        (lambda: client.predict(b"noise"), "not_a_video"),
        (lambda: client.explain(film, method="magic"), "option_invalid"),
        (lambda: client.explain(film, top_k=99), "option_invalid"),
        (lambda: client.predict(film, start=100.0), "no_frames"),
    ):
        with pytest.raises(StaaError) as caught:
            call()
        assert caught.value.code == code
        assert caught.value.request_id
    with pytest.raises(TooLargeError) as large:
        client.predict(bytes(110_000_000))
    assert large.value.code == "too_many_bytes"


def test_the_command_against_the_server(
    home: Server, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pictures of a real answer in every form, with the class map, how it was chosen, and the check."""
    names = [tmp_path / f"x.{ending}" for ending in ("html", "png", "gif", "mp4", "json", "npz", "parquet")]
    outputs = [part for name in names for part in ("-o", str(name))]
    more = ["--method", "staa_class", "--target", "3", "--refine", "8", "--verify", "2"]
    assert main(["explain", str(film), "--server", home.inference, *more, *outputs]) == 0
    told = capsys.readouterr().out
    assert "map    this map was chosen by a test" in told
    assert "check  " in told
    assert all(name.stat().st_size > 1000 for name in names)
