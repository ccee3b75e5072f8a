"""The arithmetic of reading: however it is cut up, the numbers are those of the whole matrix."""

import pytest
import torch
from torch import Tensor, nn

from staa import capture

SCALE = 0.3


@pytest.fixture
def parts() -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys, values (6 sequences, 4 heads, 17 tokens, 8) as views of one tensor, as models have them."""
    made = torch.randn(6, 17, 3, 4, 8, generator=torch.Generator().manual_seed(0))
    query, key, value = made.permute(2, 0, 3, 1, 4)
    return query, key, value


def whole(query: Tensor, key: Tensor, softcap: float | None = None) -> Tensor:
    """Return all attention, in float64."""
    logits = (query.double() @ key.double().transpose(-2, -1)) * SCALE
    return (logits if softcap is None else softcap * torch.tanh(logits / softcap)).softmax(-1)


@pytest.mark.parametrize("chunk", [1, 3 * 4 * 17 * 5, 2**30])
@pytest.mark.parametrize("clips", [1, 3])
@pytest.mark.parametrize("softcap", [None, 0.5])
def test_a_row_carried_in_chunks(
    parts: tuple[Tensor, Tensor, Tensor], chunk: int, clips: int, softcap: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Carrying rows through attention gives what the whole matrix gives."""
    query, key, _ = parts
    rows = torch.rand(6, 2, 17, generator=torch.Generator().manual_seed(1))
    monkeypatch.setitem(capture.CHUNK_WEIGHTS, "cpu", chunk)
    row, queries, keys = (part.reshape(clips, -1, *part.shape[1:]) for part in (rows, query, key))
    found = capture.row_times_attention(row, queries, keys, SCALE, softcap)
    wanted = torch.einsum("skq,shqn->shkn", rows.double(), whole(query, key, softcap))
    assert torch.allclose(found.flatten(0, 1).double(), wanted, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 2 * 4 * 17 * 17, 2**30])
@pytest.mark.parametrize("softcap", [0.5, 50.0])
def test_a_soft_cap_bounds_the_logits(
    parts: tuple[Tensor, Tensor, Tensor], chunk: int, softcap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention with a soft cap is that of the whole matrix, however many sequences are computed at a time."""
    query, key, value = parts
    monkeypatch.setitem(capture.CHUNK_WEIGHTS, "cpu", chunk)
    wanted = whole(query, key, softcap) @ value.double()
    assert torch.allclose(capture.attend(nn.Identity(), *parts, SCALE, softcap).double(), wanted, atol=1e-6)


@pytest.mark.parametrize("long", [1, 2**30])
@pytest.mark.parametrize("softcap", [None, 0.5])
def test_the_attention_of_some_queries(
    parts: tuple[Tensor, Tensor, Tensor], long: int, softcap: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sequence by sequence or all at once."""
    query, key, _ = parts
    monkeypatch.setattr(capture, "LONG_KEYS", long)
    queries, keys = (part.reshape(2, 3, 4, 17, 8) for part in (query, key))
    found = capture.attention_weights(queries[:, :, :, 2:3], keys, SCALE, softcap)
    assert torch.allclose(found.flatten(0, 1).double(), whole(query, key, softcap)[:, :, 2:3], atol=1e-6)


@pytest.mark.parametrize("cache", [1, 4 * 17 * 8 * 4, 2**30])
def test_sequences_of_a_few_tokens(
    parts: tuple[Tensor, Tensor, Tensor], cache: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output and matrix, in parts of 1, 4 and all sequences; the output is the same bits when nobody listens."""
    module, heard = nn.Identity(), []
    monkeypatch.setitem(capture.CACHE_NUMBERS, "cpu", cache)
    alone = capture.attend_with_matrix(module, *parts, SCALE)
    setattr(module, capture.LISTENER, lambda *made: heard.append(made))
    found = capture.attend_with_matrix(module, *parts, SCALE)
    query, key, value = parts
    assert torch.equal(found, alone)
    assert torch.allclose(found.double(), whole(query, key) @ value.double(), atol=1e-6)
    assert torch.allclose(heard[0][4].double(), whole(query, key).mean(1), atol=1e-6)
    assert torch.allclose(capture.mean_matrices(query, key, SCALE).double(), whole(query, key).mean(1), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_longer_and_coarser_ones_take_the_fast_kernel(
    parts: tuple[Tensor, Tensor, Tensor], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing but queries, keys and values is heard."""
    module, heard = nn.Identity(), []
    monkeypatch.setattr(capture, "FEW_TOKENS", 16 if dtype == torch.float32 else 17)
    setattr(module, capture.LISTENER, lambda *made: heard.append(made))
    query, key, value = (part.to(dtype) for part in parts)
    found = capture.attend_with_matrix(module, query, key, value, SCALE)
    assert torch.equal(found, nn.functional.scaled_dot_product_attention(query, key, value, scale=SCALE))
    assert len(heard[0]) == 4
