"""Test multiple choice by both definitions, packed or padded, in several processes."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluation_oracles import (
    as_json,
    bits,
    completion,
    harness,
    log_probabilities,
    questions,
)
from small_gpt2s import randomised

import gpt2_small
from gpt2_small.errors import UserError
from gpt2_small.evaluation import choices, continuation_scores
from gpt2_small.evaluation.choices import DEFINITIONS, ChoiceResult, answer, read_questions
from gpt2_small.evaluation.continuation_scores import ContinuationScorer
from gpt2_small.tokenizers.byte_pairs import BytePairTokenizer
from gpt2_small.tokenizers.simple import CharTokenizer

ORACLES = {"completion": completion, "harness": harness}
QUESTIONS = questions(40)
TOKENIZER = BytePairTokenizer.train(" ".join(q.ctx + " ".join(q.endings) for q in QUESTIONS), 300)


def model_that_reads(n_ctx: int, seed: int = 0) -> Any:
    config = gpt2_small.TransformerConfig(
        d_model=16, n_layers=2, n_heads=2, n_ctx=n_ctx, d_vocab=TOKENIZER.vocab_size
    )
    torch.manual_seed(seed)
    return randomised(gpt2_small.Transformer(config)).double()


@pytest.fixture(scope="module")
def model() -> Any:
    return model_that_reads(160)


@cache
def plainly(model: Any, definition: str) -> tuple[float, float, float]:
    """Return acc, acc_norm and bits per byte of the plain computation."""
    acc = acc_norm = nats = byte_count = 0.0
    for question in QUESTIONS:
        best, best_normed, own, length = ORACLES[definition](model, TOKENIZER, question)
        acc += (best == question.label) / len(QUESTIONS)
        acc_norm += (best_normed == question.label) / len(QUESTIONS)
        nats, byte_count = nats + own, byte_count + length
    return acc, acc_norm, bits(nats) / byte_count


def numbers(result: ChoiceResult) -> tuple[float, float, float]:
    return result.acc, result.acc_norm, result.bits_per_byte


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_each_definition_gives_the_same_scores_as_one_ending_at_a_time(
    model: Any, definition: str
) -> None:
    result = answer(model, TOKENIZER, QUESTIONS, definition)
    assert numbers(result) == pytest.approx(plainly(model, definition), rel=1e-9)


def test_the_definitions_differ_on_texts_with_brackets(model: Any) -> None:
    assert plainly(model, "completion")[:2] != plainly(model, "harness")[:2]


FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "normalised by tokens": lambda patch: patch.setattr(
        choices, "as_texts", lambda q, d, real=choices.as_texts: (*real(q, d)[:2], None)
    ),
    "brackets kept": lambda patch: patch.setattr(choices, "without_brackets", str.strip),
    "the joining space lost": lambda patch: patch.setattr(
        choices,
        "encode_pair",
        lambda t, context, ending, real=choices.encode_pair: real(t, context, ending.lstrip()),
    ),
    "rows mixed in a batch": lambda patch: patch.setattr(
        ContinuationScorer,
        "_at",
        lambda self, tokens, *rest, real=ContinuationScorer._at: real(
            self, tokens.roll(1, dims=0), *rest
        ),
    ),
    "endings that see each other": lambda patch: patch.setattr(
        continuation_scores,
        "_visible",
        lambda segments: torch.ones(
            len(segments), 1, segments.shape[1], segments.shape[1], dtype=torch.bool
        ).tril(),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_changes_the_harness_definitions_score(
    model: Any, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    FAULTS[fault](monkeypatch)
    result = answer(model, TOKENIZER, QUESTIONS, "harness")
    assert numbers(result) != pytest.approx(plainly(model, "harness"), rel=1e-6)


def requests() -> list[tuple[list[int], list[int]]]:
    return [
        (TOKENIZER.encode(question.ctx), TOKENIZER.encode(" " + ending))
        for question in QUESTIONS[:6]
        for ending in question.endings
    ]


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("n_ctx", [160, 40])
def test_every_token_has_the_same_log_probability_as_in_a_row_of_its_own(
    n_ctx: int, is_packed: bool
) -> None:
    model = model_that_reads(n_ctx)
    fitting = [(a, b) for a, b in requests() if len(b) <= n_ctx]
    scores = ContinuationScorer(model, is_packed=is_packed, tokens_per_batch=300).score(fitting)
    for score, (context, ending) in zip(scores, fitting, strict=True):
        alone = log_probabilities(model, context, ending)
        torch.testing.assert_close(score.log_probabilities, alone, atol=1e-10, rtol=0)


def test_a_window_cut_on_the_right_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    model, context, ending = model_that_reads(40), [*range(60)], [1, 2, 3]
    monkeypatch.setattr(
        continuation_scores, "_Row", lambda kept, *rest: scoring_row(context[: len(kept)], *rest)
    )
    (score,) = ContinuationScorer(model).score([(context, ending)])
    assert (score.log_probabilities - log_probabilities(model, context, ending)).abs().max() > 0.01


scoring_row = continuation_scores._Row


def test_a_model_without_a_twin_is_scored_with_its_own_code(model: Any) -> None:
    with_hook = model_that_reads(160)
    with_hook.load_state_dict(model.state_dict())
    handle = with_hook.blocks[0].mlp.register_forward_hook(lambda part, given, output: output * 2)
    scorer = ContinuationScorer(with_hook)
    pairs = requests()[:4]
    assert not scorer.uses_twin
    for score, (context, ending) in zip(scorer.score(pairs), pairs, strict=True):
        alone = log_probabilities(with_hook, context, ending)
        torch.testing.assert_close(score.log_probabilities, alone, atol=1e-10, rtol=0)
    handle.remove()


def test_an_ending_is_greedy_when_each_of_its_tokens_is_the_likeliest(model: Any) -> None:
    context = TOKENIZER.encode("a dog")
    greedy = gpt2_small.generate(model, torch.tensor([context]), 5, temperature=0)
    ending = greedy[0, len(context) :].tolist()
    other = [*ending[:-1], (ending[-1] + 1) % TOKENIZER.vocab_size]
    scores = ContinuationScorer(model).score([(context, ending), (context, other)])
    assert [score.is_greedy for score in scores] == [True, False]


def test_a_training_model_is_scored_in_eval_mode_and_left_as_it_was(model: Any) -> None:
    config = gpt2_small.TransformerConfig(
        d_model=16, n_layers=1, n_heads=2, n_ctx=64, d_vocab=300, dropout=0.5
    )
    dropping = gpt2_small.Transformer(config).train()
    scorer = ContinuationScorer(dropping)
    first, second = (scorer.score([([1, 2], [3])])[0].total for _ in range(2))
    assert first == second
    assert dropping.training


def test_a_model_whose_logits_are_not_numbers_gets_no_score() -> None:
    diverged = model_that_reads(160)
    with torch.no_grad():
        diverged.ln_final.b[0] = torch.nan
    with pytest.raises(UserError, match="the model's logits are not finite"):
        answer(diverged, TOKENIZER, QUESTIONS[:2], "completion")


def summed_over(parts: list[list[float]]) -> list[float]:
    return [sum(column) for column in zip(*parts, strict=True)]


def in_processes(model: Any, world_size: int, share: Callable[[int], int]) -> Any:
    """Return the results of several processes whose sums are added; `share` receives each rank."""
    parts: list[list[float]] = []

    def gather(sums: list[float]) -> list[float]:
        parts.append(sums)
        return summed_over(parts)

    for rank in range(world_size):
        result = answer(
            model,
            TOKENIZER,
            QUESTIONS,
            "completion",
            rank=share(rank),
            world_size=world_size,
            total=gather,
        )
    return result


def test_two_processes_get_the_scores_of_one(model: Any) -> None:
    alone = answer(model, TOKENIZER, QUESTIONS, "completion")
    both = in_processes(model, 2, lambda rank: rank)
    assert (both.examples, both.acc, both.acc_norm) == (alone.examples, alone.acc, alone.acc_norm)
    assert both.bits_per_byte == pytest.approx(alone.bits_per_byte, rel=1e-12)


def test_a_share_counted_twice_is_detected(model: Any) -> None:
    alone = answer(model, TOKENIZER, QUESTIONS, "completion")
    twice = in_processes(model, 2, lambda rank: 0)
    assert twice.bits_per_byte != pytest.approx(alone.bits_per_byte, rel=1e-6)


def test_a_random_model_scores_at_chance(model: Any) -> None:
    many = questions(400, seed=1)
    result = answer(model, TOKENIZER, many, "completion")
    assert abs(result.acc - 0.25) < 4 * (0.25 * 0.75 / 400) ** 0.5


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_a_file_in_hellaswags_format_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "val.jsonl", [as_json(question) for question in QUESTIONS])
    assert read_questions(path) == QUESTIONS
    assert read_questions(path, limit=3) == QUESTIONS[:3]
    path.write_bytes("\ufeff".encode() + path.read_bytes())  # as Windows' editors write it
    assert read_questions(path) == QUESTIONS


def without(field: str) -> dict[str, Any]:
    row = as_json(QUESTIONS[0])
    del row[field]
    return row


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (without("endings"), "line 1 has no 'endings'"),
        (without("label"), "line 1 has no 'label'"),
        ({"endings": ["a", "b"], "label": 0}, "line 1 has no 'ctx'"),
        (as_json(QUESTIONS[0]) | {"label": ""}, "label is ''"),
        (as_json(QUESTIONS[0]) | {"label": 4}, "label is 4"),
        (as_json(QUESTIONS[0]) | {"endings": "ab"}, "endings is not a list of texts"),
        (as_json(QUESTIONS[0]) | {"endings": ["a"]}, "has 1 endings"),
        (as_json(QUESTIONS[0]) | {"ctx": None}, "ctx is None, not a text"),
        ([1], "is not a JSON object"),
    ],
)
def test_an_unusable_row_is_reported_with_its_line(tmp_path: Path, row: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read_questions(write(tmp_path / "bad.jsonl", [row]))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"not json\n", b"\xff\xfe", b"[" * 100_000])
def test_a_file_without_questions_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.jsonl"):
        read_questions(path)


def test_a_question_that_does_not_fit_the_model_is_refused_in_one_sentence() -> None:
    with pytest.raises(UserError, match="with n_ctx = 8"):
        answer(model_that_reads(8), TOKENIZER, QUESTIONS, "completion")


def test_a_text_outside_the_vocabulary_is_refused_in_one_sentence(model: Any) -> None:
    with pytest.raises(UserError):
        answer(model, CharTokenizer("abc"), QUESTIONS, "completion")
