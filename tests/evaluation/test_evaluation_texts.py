"""Test text scores: tokens, windows with a stride, and decoded bytes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from evaluation_oracles import bits, nats_with_stride
from small_gpt2s import randomised

import gpt2_small
from gpt2_small.data.batches import evaluation_batches
from gpt2_small.errors import UserError
from gpt2_small.evaluation import intervals, text_scores
from gpt2_small.evaluation.text_scores import Document, document, score_documents
from gpt2_small.stories import StoriesTokenizer, join_words, training_stories
from gpt2_small.tokenizers.byte_pairs import BytePairTokenizer
from gpt2_small.tokenizers.simple import ByteTokenizer, CharTokenizer

N_CTX = 12
TEXT = "Café au lait, 東京 and naïve coöperation: " * 4
BYTES = ByteTokenizer()


def model_of(vocab_size: int, n_ctx: int = N_CTX) -> Any:
    config = gpt2_small.TransformerConfig(
        d_model=16, n_layers=2, n_heads=2, n_ctx=n_ctx, d_vocab=vocab_size
    )
    torch.manual_seed(0)
    return randomised(gpt2_small.Transformer(config)).double()


@pytest.fixture(scope="module")
def model() -> Any:
    return model_of(BYTES.vocab_size)


def ids(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=length)


@pytest.mark.parametrize("stride", [1, 5, N_CTX])
@pytest.mark.parametrize("length", [2, N_CTX, N_CTX + 1, N_CTX + 2, 40])
def test_every_token_but_the_first_is_scored_once_with_its_context(
    model: Any, stride: int, length: int
) -> None:
    tokens = ids(length)
    score = score_documents(model, [Document(tokens)], BYTES, stride=stride)
    assert score.tokens == length - 1
    assert score.nats == pytest.approx(nats_with_stride(model, tokens.tolist(), stride), rel=1e-9)


def test_without_a_stride_the_windows_are_those_of_training_runs(model: Any) -> None:
    tokens = ids(100)
    twin = gpt2_small.model.twin.FastTransformer(model)
    with torch.no_grad():
        total = sum(
            float(twin(batch)) * batch[:, 1:].numel()
            for batch in evaluation_batches(tokens, n_ctx=N_CTX, batch_size=4)
        )
    assert score_documents(model, [Document(tokens)], BYTES).nats == pytest.approx(total, rel=1e-9)


def test_documents_are_scored_independently(model: Any) -> None:
    first, second = ids(30, seed=1), ids(9, seed=2)
    alone = [score_documents(model, [Document(each)], BYTES).nats for each in (first, second)]
    both = score_documents(model, [Document(first, 0), Document(second, 1)], BYTES)
    assert both.nats == pytest.approx(sum(alone), rel=1e-9)
    assert both.groups == 2


TOKENIZERS = {
    "byte": BYTES,
    "char": CharTokenizer(TEXT),
    "bpe": BytePairTokenizer.train(TEXT, 280),
}


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("stride", [4, N_CTX])
def test_the_byte_count_is_that_of_the_text(name: str, stride: int) -> None:
    tokenizer = TOKENIZERS[name]
    score = score_documents(
        model_of(tokenizer.vocab_size), [document(tokenizer, TEXT, 0)], tokenizer, stride=stride
    )
    unscored = TEXT[0].encode() if tokenizer.end_of_text is None else b""
    assert score.bytes == len(TEXT.encode()) - len(unscored)
    assert score.bits_per_byte == pytest.approx(bits(score.nats) / score.bytes)


def test_a_word_tokenizers_byte_count_includes_spaces_between_windows() -> None:
    tokenizer = StoriesTokenizer()
    text = join_words(training_stories(0, 1)[0])
    score = score_documents(
        model_of(tokenizer.vocab_size), [document(tokenizer, text, 0)], tokenizer
    )
    assert score.windows > 1
    assert score.bytes == len(text.encode())


def with_replacement_characters(tokenizer: Any, window: Any) -> int:
    return sum(len(tokenizer.decode([id]).encode()) for id in window.ids[-window.scored :].tolist())


def test_counting_the_bytes_of_replacement_characters_is_detected(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_scores, "_byte_length", with_replacement_characters)
    score = score_documents(model, [document(BYTES, TEXT, 0)], BYTES)
    assert score.bytes != len(TEXT.encode())


def test_nats_per_token_and_bits_per_byte_can_rank_tokenizers_in_opposite_orders() -> None:
    """A uniform model over 8 tokens of one byte, and one over 64 tokens of three bytes."""
    short, long = math.log(8), math.log(64)
    assert short < long
    assert bits(short) / 1 > bits(long) / 3


def test_a_perplexity_is_the_exponential_of_nats_per_token(model: Any) -> None:
    score = score_documents(model, [Document(ids(50))], BYTES)
    assert score.perplexity == pytest.approx(math.exp(score.nats / score.tokens))


@pytest.mark.parametrize("stride", [0, -1, N_CTX + 1])
def test_an_impossible_stride_is_refused_in_one_sentence(model: Any, stride: int) -> None:
    with pytest.raises(UserError, match=f"stride is {stride}; .* 1 to n_ctx = {N_CTX}"):
        score_documents(model, [Document(ids(20))], BYTES, stride=stride)


@pytest.mark.parametrize("documents", [[], [Document(ids(0))], [Document(ids(1))]])
def test_a_text_without_tokens_to_score_is_refused_in_one_sentence(
    model: Any, documents: Sequence[Document]
) -> None:
    with pytest.raises(UserError, match="no token to score"):
        score_documents(model, documents, BYTES)


def test_an_id_outside_the_models_vocabulary_is_refused_in_one_sentence(model: Any) -> None:
    with pytest.raises(UserError, match="the id 999, beyond the model's 257 tokens"):
        score_documents(model, [Document(np.array([1, 999]))], BYTES)


@pytest.mark.parametrize(
    ("degrees", "expected"), [(1, 12.7062047), (2, 4.3026527), (4, 2.7764451), (30, 2.0422725)]
)
def test_quantiles_of_students_distribution_equal_published_ones(
    degrees: int, expected: float
) -> None:
    assert intervals.student_quantile(degrees) == pytest.approx(expected, abs=1e-6)


def coverage(estimate: Callable[[np.ndarray, np.ndarray], intervals.MeanEstimate]) -> float:
    """Return how often the interval contains the true ratio of 2, over groups of unequal size."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(1000):
        sizes = rng.integers(5, 15, size=12).astype(float)
        totals = sizes * rng.normal(2.0, 0.5, size=12)
        interval = estimate(totals, sizes).interval
        assert interval is not None
        held += interval[0] <= 2.0 <= interval[1]
    return held / 1000


def test_the_interval_contains_the_true_value_in_about_19_of_20_samples() -> None:
    assert 0.925 < coverage(lambda totals, sizes: intervals.ratio([*totals], [*sizes])) < 0.975


def test_the_interval_of_a_single_document_is_over_its_windows(model: Any) -> None:
    tokens = ids(5 * N_CTX)
    as_windows = score_documents(model, [Document(tokens)], BYTES)
    as_one_document = score_documents(model, [Document(tokens, 0)], BYTES)
    assert as_one_document.interval == as_windows.interval is not None
    assert as_one_document.groups == as_one_document.windows == 5


def test_a_single_group_has_no_interval(model: Any) -> None:
    assert score_documents(model, [Document(ids(N_CTX))], BYTES).interval is None
