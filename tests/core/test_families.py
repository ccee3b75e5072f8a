"""Every family and variant against the slow way: right numbers, right places, and nothing of the model changed."""

import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    TimesformerConfig,
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VideoPrismVisionConfig,
    VJEPA2Model,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING_NAMES

from staa import Explainer, Options, capture
from staa.capture import LISTENER
from staa.errors import LoadError
from staa.families import FAMILIES, family
from staa.sites import READ_ROLES, Wanted
from tests.made import families, slow
from tests.made.families import VARIANTS, Variant

torch.set_num_threads(1)


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Return each way in which a family is read."""
    return VARIANTS[request.param]


@pytest.fixture(scope="module")
def model(variant: Variant) -> Any:
    """Return an untouched eager model of transformers."""
    return variant.make()


@pytest.fixture(scope="module")
def explainer(model: Any) -> Explainer:
    """Return the same weights behind the core."""
    return families.explainer(model)


def joints(explainer: Explainer, pixels: torch.Tensor, rows: list[int]) -> np.ndarray:
    """Return the maps (R, t, h, w) of one forward pass."""
    forward = explainer.forward(pixels, rows)
    return np.stack([one.joint for one in explainer.attributions(forward, [Options()] * len(pixels))])


def test_every_family_is_tested() -> None:
    """A new family without a variant here fails."""
    assert {variant.family for variant in VARIANTS.values()} == set(FAMILIES)


def test_every_video_classifier_of_transformers_is_served() -> None:
    """Each class of AutoModelForVideoClassification in the installed transformers has its family."""
    refused = set(MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING_NAMES) - set(FAMILIES)
    assert not refused, f"refused are {', '.join(sorted(refused))}"


def test_joint_equals_the_slow_computation(variant: Variant, model: Any, explainer: Explainer) -> None:
    """The maps of a batch, of each row alone and of some rows are what full eager matrices give, to 1e-5."""
    pixels = families.pixels(explainer, 3)
    wanted = slow.joints(variant, model, pixels)
    assert explainer.grid.shape == variant.shape == wanted.shape[1:]
    for rows in ([0, 1, 2], [0], [1], [2], [0, 2]):
        found = joints(explainer, pixels, rows)
        assert np.abs(found - wanted[rows]).max() < 1e-5
        assert np.abs(found.sum((1, 2, 3)) - 1).max() < 1e-5
    assert np.abs(joints(explainer, pixels[1:2], [0]) - wanted[1:2]).max() < 1e-5
    assert np.ptp(wanted, axis=(1, 2, 3)).min() > 0.01, "a flat map would agree with anything"
    assert np.abs(wanted[0] - wanted[1]).max() > 1e-3, "maps of different clips differ"


def test_a_stride_takes_every_nth_query() -> None:
    """Where a mean over all queries is read, a stride of 2 takes the even ones of blocks 0 and 2, the odd ones of 1."""
    variant = VARIANTS["videomae-mean"]
    model = variant.make()
    exact = families.explainer(model)
    sparse = Explainer(copy.deepcopy(model), exact.recipe, stride=2)
    pixels = families.pixels(exact, 2)
    wanted = slow.joints(variant, model, pixels, stride=2)
    assert np.abs(joints(sparse, pixels, [0, 1]) - wanted).max() < 1e-5
    assert np.abs(joints(exact, pixels, [0, 1]) - wanted).max() > 1e-4


def test_two_explainers_of_one_model(variant: Variant, model: Any, explainer: Explainer) -> None:
    """A model may be explained again, with another stride or after a reload: the maps are the same, of both."""
    again = copy.deepcopy(model)
    first = Explainer(again, explainer.recipe, stride=1)
    second = Explainer(again, explainer.recipe, stride=1)
    pixels = families.pixels(explainer, 2)
    wanted = joints(explainer, pixels, [0, 1])
    for one in (second, first):
        assert np.abs(joints(one, pixels, [0, 1]) - wanted).max() < 1e-6, variant.family


def test_two_explainers_of_one_model_take_turns(variant: Variant, model: Any, explainer: Explainer) -> None:
    """Asked by two threads at once, neither reads what the other's pass left."""
    again = copy.deepcopy(model)
    both = [Explainer(again, explainer.recipe, stride=1) for _ in range(2)]
    pixels = families.pixels(explainer, 2)
    wanted = joints(explainer, pixels, [0, 1])
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda index: joints(both[index % 2], pixels, [0, 1]), range(12)):
            assert np.abs(found - wanted).max() < 1e-6, variant.family


def fast_logits_agree(variant: Variant, found: torch.Tensor, fast: torch.Tensor) -> bool:
    """Tell whether they are those of transformers' sdpa, to 1e-5 where the last block computes one token alone."""
    if variant in (VARIANTS["vivit"], VARIANTS["videomae-cls"]):
        return bool((found - fast).abs().max() < 1e-5 * fast.abs().max())
    return torch.equal(found, fast)


def test_each_optimisation_leaves_the_logits(variant: Variant, model: Any) -> None:
    """Every optimisation by itself keeps the labels to 1e-5."""
    pixels = families.pixels(families.explainer(model), 2)
    known = family(variant.family)
    for optimise in known.OPTIMISATIONS.values():
        changed = copy.deepcopy(model)
        known.route(changed)
        with torch.inference_mode():
            wanted = changed(**{known.INPUT_NAME: pixels}).logits
            optimise(changed)
            found = changed(**{known.INPUT_NAME: pixels}).logits
        assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_logits_are_the_untouched_models(variant: Variant, model: Any, explainer: Explainer) -> None:
    """Labels are transformers' own: to 1e-5 of its eager attention, and those of its sdpa where it has one."""
    pixels = families.pixels(explainer, 2)
    found = explainer.forward(pixels, []).logits
    wanted = families.logits(model, pixels)
    assert found.shape == wanted.shape == (2, 5)
    assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()
    if model._supports_sdpa:
        fast = copy.deepcopy(model)
        fast.set_attn_implementation("sdpa")
        assert fast_logits_agree(variant, found, families.logits(fast, pixels))


def test_capture_leaves_the_logits_alone(explainer: Explainer) -> None:
    """The logits with and without capture are bit-identical, and nothing stays hooked."""
    pixels = families.pixels(explainer, 3)
    plain = explainer.forward(pixels, []).logits
    for rows in ([0, 1, 2], [1]):
        assert torch.equal(plain, explainer.forward(pixels, rows).logits)
    assert not any(hasattr(module, LISTENER) for module in explainer.model.modules())


def test_bfloat16_is_close(variant: Variant, tmp_path: Path) -> None:
    """Loaded in bfloat16 the map stays within 1e-2 of full matrices in float32."""
    model = variant.make(initializer_range=0.2)
    low = Explainer.load(families.save(model, tmp_path), device="cpu", dtype="bfloat16", stride=1)
    pixels = families.pixels(low, 2)
    assert pixels.dtype == low.dtype == torch.bfloat16
    wanted = slow.joints(variant, model, pixels.float())
    assert np.abs(joints(low, pixels, [0, 1]) - wanted).max() < 1e-2


def test_a_folder_round_trips(model: Any, explainer: Explainer, tmp_path: Path) -> None:
    """A checkpoint folder loads to the same labels and maps."""
    loaded = Explainer.load(families.save(model, tmp_path), device="cpu", stride=1)
    pixels = families.pixels(explainer, 1)
    assert (loaded.forward(pixels, []).logits - explainer.forward(pixels, []).logits).abs().max() < 1e-4
    assert np.abs(joints(loaded, pixels, [0]) - joints(explainer, pixels, [0])).max() < 1e-5


def test_a_planted_token_is_found(variant: Variant, model: Any) -> None:
    """One bright cell of one frame, whose key matches the queries, is found at its step, row and column."""
    planted = copy.deepcopy(model)
    families.plant(planted)
    explainer = families.explainer(planted)
    (steps, rows, columns), tubelet = variant.shape, explainer.grid.tubelet
    height, width = explainer._family.size(planted.config)
    places = [(0, 0, columns - 1), (steps - 1, rows - 1, 0), (1, 0, 1), (steps - 1, 1, columns - 1)]
    pixels = torch.zeros(len(places), explainer.grid.frames, 3, height, width)
    for clip, (t, y, x) in zip(pixels, places, strict=True):
        down, across = height // rows, width // columns
        clip[(t + 1) * tubelet - 1, :, y * down : (y + 1) * down, x * across : (x + 1) * across] = 1
    for joint, place in zip(joints(explainer, pixels, list(range(len(places)))), places, strict=True):
        first, second = np.sort(joint, axis=None)[[-1, -2]]
        assert np.unravel_index(joint.argmax(), joint.shape) == place
        assert first > 3 * second


def test_every_attention_is_ours(variant: Variant, explainer: Explainer) -> None:
    """All attentions of a pass go through `attend`, each once: encoder, pooler and cross attention."""
    heard: list[torch.nn.Module] = []
    modules = list(explainer.model.modules())
    for module in modules:
        setattr(module, LISTENER, lambda *_, heard=heard, module=module: heard.append(module))
    try:
        explainer.forward(families.pixels(explainer, 1), [])
    finally:
        for module in modules:
            delattr(module, LISTENER)
    assert len(heard) == len(set(heard)) == variant.blocks


def test_the_librarys_modules_are_where_they_were(variant: Variant, model: Any, explainer: Explainer) -> None:
    """Input name, module names and number of blocks are those of this transformers; an unread attention is an error."""
    assert type(model).main_input_name == family(variant.family).INPUT_NAME
    read = [site for site in explainer.sites if site.role in READ_ROLES]
    assert len(read) == (1 if read[0].role == "query" else model.config.num_hidden_layers)
    assert len(explainer.sites) == len({site.module for site in explainer.sites}) == variant.blocks
    sites = explainer._family.sites(model, explainer.grid, 1)
    with pytest.raises(RuntimeError, match="read 0 of"), capture.capture(sites, Wanted((0,)), 1):
        families.logits(model, families.pixels(explainer, 1))


def test_the_untouched_model_stays_untouched(model: Any, explainer: Explainer) -> None:
    """Adapting one instance changes no other: neither its configuration nor its class."""
    other = copy.deepcopy(model)
    other.set_attn_implementation("eager")
    pixels = families.pixels(explainer, 1)
    assert other.config._attn_implementation == "eager"
    assert torch.equal(families.logits(other, pixels), families.logits(model, pixels))


@pytest.mark.parametrize("stride", [0, 2.5, 25, True])
def test_a_stride_that_cannot_be_is_refused(stride: Any) -> None:
    """A stride is a whole number of tokens, and not more than there are."""
    model = VARIANTS["videomae-mean"].make()
    recipe = families.explainer(model).recipe
    with pytest.raises(LoadError, match="from 1 to 24"):
        Explainer(model, recipe, stride)
    assert Explainer(model, recipe).stride == 8


def test_checkpoints_without_a_head_are_refused(tmp_path: Path) -> None:
    """A VideoMAE pretraining checkpoint and a V-JEPA 2 encoder name what they lack."""
    facts = {**families.TINY, "image_size": 16, "patch_size": 8, "num_frames": 4, "decoder_num_attention_heads": 2}
    pretrained = VideoMAEForPreTraining(VideoMAEConfig(**facts, decoder_hidden_size=32, decoder_num_hidden_layers=1))
    encoder = VJEPA2Model(VARIANTS["vjepa2"].make().config)
    for number, model in enumerate((pretrained, encoder)):
        with pytest.raises(LoadError, match="lacks the weights classifier"):
            Explainer.load(families.save(model, tmp_path / str(number)))


@pytest.mark.parametrize(
    ("changes", "named"), [({"attention_type": "wide"}, "joint_space_time"), ({"image_size": [32, 48]}, "a number")]
)
def test_timesformers_that_cannot_be_read_are_refused(changes: dict[str, Any], named: str) -> None:
    """A configuration that transformers would fail on or misread is refused with what is expected."""
    with pytest.raises(LoadError, match=named):
        family("timesformer").grid(TimesformerConfig(**changes))


def test_a_videoprism_of_longer_tubelets_is_refused() -> None:
    """A pass of transformers fails on tubelets of two frames, so such a configuration is refused at load."""
    with pytest.raises(LoadError, match="tubelets of one frame"):
        family("videoprism_vision_model").grid(VideoPrismVisionConfig(tubelet_size=[2, 18, 18]))


@pytest.mark.slow
@pytest.mark.parametrize("name", families.PUBLISHED)
def test_published_sizes(name: str) -> None:
    """With the configuration of the best-known public checkpoint and random weights, map and labels are right."""
    kind, changes, shape = families.PUBLISHED[name]
    model = VARIANTS[kind].make(**changes)
    explainer = families.explainer(model)
    assert explainer.grid.shape == shape
    pixels = torch.randn(1, explainer.grid.frames, 3, *explainer._family.size(model.config))
    found = joints(explainer, pixels, [0])
    answer = explainer.forward(pixels, []).logits
    wanted, whole = slow.joints(VARIANTS[kind], model, pixels), families.logits(model, pixels)
    print(f"{name}: joint {np.abs(found - wanted).max():.1e} of {wanted.max():.1e}", end=", ")  # noqa: T201
    print(f"logits {(answer - whole).abs().max():.1e} of {whole.abs().max():.1e}")  # noqa: T201
    assert np.abs(found - wanted).max() < min(1e-5, 1e-3 * wanted.max())
    assert (answer - whole).abs().max() < 1e-4 * whole.abs().max()
    if model._supports_sdpa:
        model.set_attn_implementation("sdpa")
        assert fast_logits_agree(VARIANTS[kind], answer, families.logits(model, pixels))
