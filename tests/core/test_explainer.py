"""The core from clips to results: right numbers, rows that do not meet."""

import numpy as np
import pytest
import torch
from transformers import TimesformerForVideoClassification

from staa import Explainer, Options
from staa.attribution import METHODS, Reading
from staa.capture import LISTENER, capture, make_reduce
from staa.errors import OptionError
from staa.sites import Wanted
from tests.made import models, slow
from tests.made.families import VARIANTS


@pytest.fixture(scope="module")
def model() -> TimesformerForVideoClassification:
    """Return an untouched model of transformers."""
    return models.timesformer()


@pytest.fixture(scope="module")
def explainer(model: TimesformerForVideoClassification) -> Explainer:
    """Return the same weights behind the core."""
    return models.explainer(model)


def test_joint_equals_the_slow_computation(model: TimesformerForVideoClassification, explainer: Explainer) -> None:
    """The map of every row is what full attention matrices of an eager model give, to 1e-5, and so are the logits."""
    clips = [models.clip(seed) for seed in range(3)]
    pixels = explainer.pixels(clips)
    wanted, logits = slow.joints(VARIANTS["divided"], model, pixels), model(pixel_values=pixels).logits
    forward = explainer.forward(pixels, [0, 1, 2])
    found = np.stack([result.attribution.joint for result in explainer(clips) if result.attribution])
    assert np.abs(found - wanted).max() < 1e-5
    assert (forward.logits - logits).abs().max() < 1e-5
    assert np.ptp(wanted) > 0.01, "a flat map would agree with anything"


def test_capture_leaves_the_logits_alone(explainer: Explainer) -> None:
    """The logits with and without capture are bit-identical."""
    pixels = explainer.pixels([models.clip(1), models.clip(2)])
    assert torch.equal(explainer.forward(pixels, []).logits, explainer.forward(pixels, [0, 1]).logits)
    assert torch.equal(explainer.forward(pixels, []).logits, explainer.forward(pixels, [1]).logits)


def test_nothing_stays_hooked(explainer: Explainer) -> None:
    """After a pass, and after one that fails, no module is listened to."""

    def fail() -> None:
        with capture(explainer.sites, Wanted((0,)), 1):
            assert any(hasattr(module, LISTENER) for module in explainer.model.modules())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    explainer([models.clip(0)])
    assert not any(hasattr(module, LISTENER) for module in explainer.model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in explainer.model.modules())


def test_nothing_read_is_an_error(model: TimesformerForVideoClassification, explainer: Explainer) -> None:
    """A model whose attention does not go through `attend` is an error and never a silent empty map."""
    sites = explainer._family.sites(model, explainer.grid, 1)
    with pytest.raises(RuntimeError, match="read 0 of 6"), capture(sites, Wanted((0,)), 1):
        model(pixel_values=explainer.pixels([models.clip(0)]))


def test_no_matrix_is_kept(explainer: Explainer) -> None:
    """What a pass keeps for `staa` is rows: nothing of tokens x tokens, no queries, keys or values, in float32."""
    forward = explainer.forward(explainer.pixels([models.clip(0), models.clip(1)]), [1])
    times, spaces = forward.captured[::2], forward.captured[1::2]
    assert [tuple(one.matrix.shape) for one in times] == [(1, 16, 4, 4)] * 3
    assert [tuple(one.weights.shape) for one in spaces] == [(1, 4, 4, 17)] * 3
    assert {part.dtype for part in (times[0].matrix, spaces[0].weights)} == {torch.float32}
    assert [tuple(one.share.shape) for one in times] == [(1, 4, 16)] * 3
    assert [tuple(one.sizes.shape) for one in spaces] == [(1, 4, 17)] * 3
    assert all(one.share is None for one in spaces)
    assert all(one.queries_keys is None and one.gains is None and one.values is None for one in forward.captured)


def test_a_batch_is_its_rows(explainer: Explainer) -> None:
    """A batch of three gives what three batches of one give."""
    clips = [models.clip(seed) for seed in range(3)]
    for one, many in zip((explainer([clip])[0] for clip in clips), explainer(clips), strict=True):
        assert one.attribution is not None
        assert many.attribution is not None
        assert np.allclose(one.attribution.joint, many.attribution.joint, atol=1e-6)
        assert [p.class_id for p in one.predictions] == [p.class_id for p in many.predictions]
        assert np.allclose([p.score for p in one.predictions], [p.score for p in many.predictions], atol=1e-5)


def test_rows_of_a_batch_want_different_things(explainer: Explainer) -> None:
    """One pass serves labels only and maps, each with its own options and its own map."""
    clips = [models.clip(seed) for seed in range(3)]
    options = [Options(top_k=2), Options(explain=False, top_k=1), Options(mass=0.2)]
    mixed, alone = explainer(clips, options), explainer(clips)
    assert [len(result.predictions) for result in mixed] == [2, 1, 5]
    assert mixed[1].attribution is None
    assert mixed[1].threshold is None
    for one, other in ((mixed[row], alone[row]) for row in (0, 2)):
        assert one.attribution is not None
        assert other.attribution is not None
        assert np.allclose(one.attribution.joint, other.attribution.joint, atol=1e-6)
    assert (mixed[2].threshold or 0) > (alone[2].threshold or 1)


def test_sums_hold(explainer: Explainer) -> None:
    """joint, temporal and spatial each sum to 1, and the marginals are joint's."""
    found = explainer([models.clip(3)])[0].attribution
    assert found is not None
    for part in (found.joint, found.temporal, found.spatial):
        assert part.sum() == pytest.approx(1, abs=1e-5)
        assert part.min() >= 0
    assert np.allclose(found.temporal, found.joint.sum((1, 2)))


def test_permuted_frames_permute_the_map() -> None:
    """With time embeddings of zero, frames in another order give the same map in that order."""
    model = models.timesformer()
    with torch.no_grad():
        model.timesformer.embeddings.time_embeddings.zero_()
    explainer = models.explainer(model)
    order = [2, 0, 3, 1]
    clip = models.clip(0)
    shuffled = type(clip)(clip.frames[order], clip.seconds, clip.indices, clip.fps, clip.duration)
    straight, other = (explainer([each])[0].attribution for each in (clip, shuffled))
    assert straight is not None
    assert other is not None
    assert np.abs(other.joint - straight.joint[order]).max() < 1e-6
    assert np.ptp(straight.temporal) > 1e-3, "a flat curve would agree with anything"


def test_a_planted_key_is_found(explainer: Explainer) -> None:
    """A patch that differs from its surroundings moves the map exactly there when it moves: no transposed grid."""
    grid = explainer.grid
    query, key = torch.zeros(grid.t, 2, 17, 8), torch.zeros(grid.t, 2, 17, 8)
    query[:, :, 0, 0] = 1
    key[2, :, 1 + 1 * grid.w + 3, 0] = 50  # frame 2, row 1, column 3
    captured = make_reduce(explainer.sites[1], Wanted((0,)), {(0,): None})(query, key, key, 1.0)
    kept, _ = METHODS["paper"].run(Reading([captured], torch.zeros(1, 32)))
    assert kept.shape == (1, grid.t, 16)
    assert kept[0, 2].view(grid.h, grid.w)[1, 3] > 0.99
    assert kept[0, 1].max() < 0.1


def test_rows_that_are_not_read_have_no_gradient(model: TimesformerForVideoClassification) -> None:
    """In the last block only the CLS rows reach the logits: every other row's gradient is exactly zero."""
    pixels = torch.randn(1, 4, 3, 32, 32)
    with models.matrices(model, ".attention") as spatial:
        logits = model(pixel_values=pixels).logits
        (gradient,) = torch.autograd.grad(logits[0, 0], [spatial[-1]])
    assert torch.count_nonzero(gradient[:, :, 1:]) == 0
    assert torch.count_nonzero(gradient[:, :, 0]) > 0


def test_labels_are_a_softmax_best_first(explainer: Explainer) -> None:
    """Scores are probabilities over all classes, best first, with the checkpoint's labels."""
    predictions = explainer([models.clip(0)])[0].predictions
    scores = [one.score for one in predictions]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-5)
    assert all(one.label == f"LABEL_{one.class_id}" for one in predictions)


def test_few_classes_give_few_labels() -> None:
    """A model with fewer than five classes answers all of them when nothing is asked."""
    found = models.explainer(models.timesformer(num_labels=3))([models.clip(0)])[0]
    assert len(found.predictions) == 3


@pytest.mark.parametrize(
    ("options", "named"),
    [(Options(top_k=6), "1 to 5"), (Options(method="gradcam"), "staa")],
)
def test_options_of_other_models_are_refused(explainer: Explainer, options: Options, named: str) -> None:
    """What this model cannot answer is an error that says what it can."""
    with pytest.raises(OptionError, match=named):
        explainer([models.clip(0)], options)


def test_a_wrong_number_of_frames_is_refused(explainer: Explainer) -> None:
    """Another number of frames than the model's is refused: transformers would misread it silently."""
    with pytest.raises(ValueError, match="wants 4 frames, got 8"):
        explainer([models.clip(0, frames=8)])
    with pytest.raises(ValueError, match="pixels must be"):
        explainer.forward(torch.zeros(1, 8, 3, 32, 32), [])
