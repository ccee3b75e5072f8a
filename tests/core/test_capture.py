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


def whole(query: Tensor, key: Tensor) -> Tensor:
    """Return all attention, in float64."""
    return ((query.double() @ key.double().transpose(-2, -1)) * SCALE).softmax(-1)


@pytest.mark.parametrize("chunk", [1, 3 * 4 * 17 * 5, 2**30])
@pytest.mark.parametrize("clips", [1, 3])
def test_a_row_carried_in_chunks(
    parts: tuple[Tensor, Tensor, Tensor], chunk: int, clips: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Carrying rows through attention gives what the whole matrix gives."""
    query, key, _ = parts
    rows = torch.rand(6, 2, 17, generator=torch.Generator().manual_seed(1))
    monkeypatch.setitem(capture.CHUNK_WEIGHTS, "cpu", chunk)
    row, queries, keys = (part.reshape(clips, -1, *part.shape[1:]) for part in (rows, query, key))
    found = capture.row_times_attention(row, queries, keys, SCALE)
    wanted = torch.einsum("skq,shqn->shkn", rows.double(), whole(query, key))
    assert torch.allclose(found.flatten(0, 1).double(), wanted, atol=1e-6)


@pytest.mark.parametrize("long", [1, 2**30])
def test_the_attention_of_some_queries(
    parts: tuple[Tensor, Tensor, Tensor], long: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sequence by sequence or all at once."""
    query, key, _ = parts
    monkeypatch.setattr(capture, "LONG_KEYS", long)
    found = capture.attention_weights(query.reshape(2, 3, 4, 17, 8)[:, :, :, 2:3], key.reshape(2, 3, 4, 17, 8), SCALE)
    assert torch.allclose(found.flatten(0, 1).double(), whole(query, key)[:, :, 2:3], atol=1e-6)


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
