"""What is hoped of the maps, and whether it is so: every goal is judged from the figures of a model alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.faithfulness.figures import AREAS, BETTER, Figures
from benchmarks.faithfulness.metrics import bootstrap

LEAST = 30
"""With fewer clips of both ways a goal is not judged: an interval of few clips is no evidence."""
DEFAULT = "motions"
"""The name of the model that is served by default; the others are the small ones."""
DELETION, INSERTION = AREAS[::2], AREAS[1::2]


@dataclass(frozen=True)
class Lead:
    """Holds by how much one way is better than another in a figure, over the clips that both have."""

    clips: int
    mean: float
    low: float
    high: float
    """The mean and the 95% interval of a bootstrap over the clips, to three decimals; plus is better."""

    @property
    def verdict(self) -> str:
        """Return "ahead" or "behind" if 0 lies outside the interval, otherwise "level"."""
        return "ahead" if self.low > 0 else "behind" if self.high < 0 else "level"

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def lead(figures: Figures, way: str, rival: str, figure: str) -> Lead | None:
    """Compare two ways on the same clips; return None if they have none in common."""
    mine, theirs = (figures.get(name, {}).get(figure, {}) for name in (way, rival))
    pairs = [BETTER[figure] * (value - theirs[clip]) for clip, value in mine.items() if clip in theirs]
    return Lead(len(pairs), *(round(value, 3) for value in bootstrap(pairs))) if pairs else None


@dataclass(frozen=True)
class Goal:
    """Holds a goal in words, and how it is judged."""

    text: str
    judge: Callable[[Figures], str]
    """Return what a table says of the figures of a model, beginning with "met", "**missed**" or "not measured"."""
    small: bool = True
    default: bool = True
    """Whether it is a goal for the small models, and for the default one."""

    def verdict(self, model: str, figures: Figures) -> str:
        """Return the verdict for a model, and a dash if the goal is not about it."""
        return self.judge(figures) if (self.default if model == DEFAULT else self.small) else "-"


def against(way: str, rival: str, columns: Sequence[str], *, ahead: bool) -> Callable[[Figures], str]:
    """Judge whether a way is ahead of another in every one of some figures, or at least level."""

    def judge(figures: Figures) -> str:
        leads = {column: lead(figures, way, rival, column) for column in columns}
        found = {column: one for column, one in leads.items() if one is not None and one.clips >= LEAST}
        if len(found) < len(leads):
            return "not measured"
        short = {"level", "behind"} if ahead else {"behind"}
        missed = [f"{column} {one.verdict}, {one}" for column, one in found.items() if one.verdict in short]
        clips = min(one.clips for one in found.values())
        return f"**missed**: {'; '.join(missed)}; {clips} clips" if missed else f"met, {clips} clips"

    return judge


def points_at_the_object(way: str, least: float) -> Callable[[Figures], str]:
    """Judge whether the mean of "pointing" reaches a value."""

    def judge(figures: Figures) -> str:
        return _bounded(figures, way, "pointing", lambda mean: mean, lambda mean: mean >= least)

    return judge


def distractors_get_little(way: str, most: float) -> Callable[[Figures], str]:
    """Judge what a pixel of a distractor gets over what a pixel of the object gets; the figure d gives d / (1 - d)."""

    def judge(figures: Figures) -> str:
        return _bounded(figures, way, "distractors", lambda mean: mean / (1 - mean), lambda ratio: ratio <= most)

    return judge


def _bounded(
    figures: Figures, way: str, figure: str, scale: Callable[[float], float], holds: Callable[[float], bool]
) -> str:
    values = [*figures.get(way, {}).get(figure, {}).values()]
    if len(values) < LEAST:
        return "not measured"
    mean, low, high = map(scale, bootstrap(values))
    return f"{'met' if holds(mean) else '**missed**'}: {mean:.3f} ({low:.3f}-{high:.3f}), {len(values)} clips"


ONE, REFINED = "staa_class", "staa_class, refine=16"
SIGNED = "integrated gradients, signed"
GOALS = (
    *(
        Goal(
            f"`{REFINED}` ahead of {rival} in deletion and insertion, both fills",
            against(REFINED, rival, AREAS, ahead=True),
            default=False,
        )
        for rival in ("LIME", "KernelSHAP")
    ),
    *(
        Goal(
            f"`{ONE}`, one pass, level with {rival} or ahead in the same",
            against(ONE, rival, AREAS, ahead=False),
            default=False,
        )
        for rival in ("LIME", "KernelSHAP")
    ),
    Goal(f"`{ONE}` ahead of Chefer in the same", against(ONE, "Chefer relevance", AREAS, ahead=True)),
    Goal(f"`{ONE}` level with Chefer in *when*", against(ONE, "Chefer relevance", ["when AUROC"], ahead=False)),
    Goal(f"`{ONE}` ahead of {SIGNED}, in deletion, both fills", against(ONE, SIGNED, DELETION, ahead=True)),
    Goal(f"`{REFINED}` level with {SIGNED}, in insertion", against(REFINED, SIGNED, INSERTION, ahead=False)),
    Goal(
        "`staa` ahead of rollout in insertion, both fills",
        against("staa", "rollout", INSERTION, ahead=True),
        small=False,
    ),
    *(
        Goal(f"`{way}` points at the object in 0.95", points_at_the_object(way, 0.95), small=False)
        for way in ("staa", ONE)
    ),
    *(
        Goal(
            f"`{way}`: a distractor gets 0.10 of what the object gets, or less",
            distractors_get_little(way, 0.10),
            small=False,
        )
        for way in ("staa", ONE)
    ),
)
"""All goals, in the order of the table."""
