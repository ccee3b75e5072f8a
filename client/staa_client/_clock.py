"""Stream time, out of the times of a source that may jump or start anew: pure."""


class Clock:
    """Seconds since a stream's first frame, which go on over every gap.

    Args:
        longest: Seconds; where the source's own times jump by more, or backwards, they were set anew: a cut. Over a
            cut, stream time goes on by what passed between the arrivals of the two frames.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._last: tuple[float, float, float] | None = None

    def at(self, own: float, arrival: float, *, fresh: bool = False) -> tuple[float, bool]:
        """Stream time of the next frame, and whether it is the first after a cut.

        Args:
            own: The source's time of the frame, seconds from anywhere.
            arrival: When it came, on any steady clock, seconds.
            fresh: It is the first frame since the source was opened anew.
        """
        if self._last is None:
            seconds, cut = 0.0, False
        else:
            stream, before, came = self._last
            cut = fresh or not 0 <= own - before <= self._longest
            seconds = stream + max(0.0, arrival - came if cut else own - before)
        self._last = (seconds, own, arrival)
        return seconds, cut
