"""Test the harness's tasks on our models against its `hf` model on the same weights."""

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from evaluation_oracles import as_json, questions, text
from small_gpt2s import randomised

import gpt2_small
from gpt2_small.errors import UserError
from gpt2_small.generation import LoadedModel
from gpt2_small.tokenizers.byte_pairs import BytePairTokenizer
from gpt2_small.tokenizers.simple import CharTokenizer
from gpt2_small.weights import export_hugging_face

lm_eval = pytest.importorskip("lm_eval", reason="lm-eval, the extra eval, is not installed")

from gpt2_small.evaluation.harness import HarnessModel, run_tasks  # noqa: E402

QUESTIONS = questions(30)
TOKENIZER = BytePairTokenizer.train(" ".join(q.ctx + " ".join(q.endings) for q in QUESTIONS), 320)
NAMES = ["hellaswag_here", "pages_here", "continue_here"]

HELLASWAG = """\
include: {folder}/hellaswag/hellaswag.yaml
task: hellaswag_here
tag: null
dataset_path: json
dataset_kwargs:
  data_files:
    validation: {file}
training_split: null
"""
OTHER = """\
task: {task}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: {kind}
doc_to_text: "{given}"
doc_to_target: "{{{{ctx}}}}"
"""
PAGES = "metric_list:\n  - metric: word_perplexity\n  - metric: bits_per_byte\n"
CONTINUE = (
    'generation_kwargs:\n  until: ["e"]\n  max_gen_toks: 8\nmetric_list:\n  - metric: exact_match\n'
)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    config = gpt2_small.TransformerConfig(
        d_model=16, n_layers=2, n_heads=2, n_ctx=96, d_vocab=TOKENIZER.vocab_size
    )
    torch.manual_seed(0)
    return LoadedModel("small", randomised(gpt2_small.Transformer(config)), TOKENIZER)


@pytest.fixture(scope="module")
def hugging_face(loaded: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from lm_eval.models.huggingface import HFLM

    folder = tmp_path_factory.mktemp("exported") / "model"
    export_hugging_face(loaded.model, folder, tokenizer=loaded.tokenizer)
    return HFLM(
        pretrained=str(folder), device="cpu", dtype="float32", batch_size=8, logits_cache=False
    )


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write task files that read local data."""
    folder = tmp_path_factory.mktemp("tasks")
    rows = [as_json(question) for question in QUESTIONS]
    file = folder / "questions.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    own = Path(lm_eval.__file__).parent / "tasks"
    (folder / "hellaswag.yaml").write_text(HELLASWAG.format(folder=own, file=file))
    pages = OTHER.format(task="pages_here", file=file, kind="loglikelihood_rolling", given="")
    (folder / "pages.yaml").write_text(pages + PAGES)
    given = OTHER.format(task="continue_here", file=file, kind="generate_until", given="{{ctx_a}}")
    (folder / "continue.yaml").write_text(given + CONTINUE)
    return folder


def asked(*arguments: Any) -> list[SimpleNamespace]:
    return [SimpleNamespace(args=each) for each in arguments]


def pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return contexts with continuations; some contexts end in spaces, are empty or do not fit."""
    rng = random.Random(seed)
    contexts = ["", "a dog  ", "the table "] + [text(rng, 1, 60) for _ in range(count)]
    return [(context, " " + text(rng, 1, 5)) for context in contexts for _ in range(2)]


def test_log_likelihoods_equal_the_harness(loaded: LoadedModel, hugging_face: Any) -> None:
    requests = asked(*pairs(12))
    ours = HarnessModel(loaded).loglikelihood(requests, disable_tqdm=True)
    theirs = hugging_face.loglikelihood(requests, disable_tqdm=True)
    for (total, is_greedy), (expected, expected_greedy) in zip(ours, theirs, strict=True):
        assert total == pytest.approx(expected, rel=1e-6)
        assert is_greedy == expected_greedy


def test_rolling_log_likelihoods_equal_the_harness(loaded: LoadedModel, hugging_face: Any) -> None:
    rng = random.Random(3)
    requests = asked(*((text(rng, 1, 150),) for _ in range(5)), ("a",))
    ours = HarnessModel(loaded).loglikelihood_rolling(requests)
    theirs = hugging_face.loglikelihood_rolling(requests, disable_tqdm=True)
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("until", [["e"], ["ou", "t"], []])
def test_greedy_continuations_equal_the_harness(
    loaded: LoadedModel, hugging_face: Any, until: list[str]
) -> None:
    rng = random.Random(4)
    options = {"until": until, "max_gen_toks": 12, "do_sample": False}
    requests = asked(*((text(rng, 1, 40), dict(options)) for _ in range(6)))
    ours = HarnessModel(loaded).generate_until(requests)
    theirs = hugging_face.generate_until(requests, disable_tqdm=True)
    assert ours == theirs


@pytest.mark.slow
def test_every_metric_of_whole_tasks_equals_the_harness(
    loaded: LoadedModel, hugging_face: Any, tasks: Path
) -> None:
    from lm_eval.tasks import TaskManager

    ours = run_tasks(HarnessModel(loaded), NAMES, include_path=tasks)
    theirs = lm_eval.simple_evaluate(
        model=hugging_face,
        tasks=NAMES,
        task_manager=TaskManager(include_path=tasks, include_defaults=False),
        log_samples=False,
    )
    for name in NAMES:
        for metric, value in theirs["results"][name].items():
            assert ours["results"][name][metric] == (
                pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
            ), (name, metric)
    assert (
        ours["results"]["hellaswag_here"]["acc,none"]
        == (theirs["results"]["hellaswag_here"]["acc,none"])
    )


def test_the_harness_cache_confuses_requests_that_are_cut_differently(
    loaded: LoadedModel, hugging_face: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reason for logits_cache=False in the comparison: its key is only context + continuation."""
    ids = TOKENIZER.encode("the dog runs over the table and")
    requests = [
        (("a", "b"), ids[:-3], ids[-3:]),
        (("c", "d"), ids[:-1], ids[-1:]),
    ]
    ours = HarnessModel(loaded)
    alone = [ours._loglikelihood_tokens([each])[0][0] for each in requests]
    together = [total for total, _ in ours._loglikelihood_tokens(requests)]
    assert together == pytest.approx(alone, rel=1e-6)
    monkeypatch.setattr(hugging_face, "logits_cache", True)
    cached = [total for total, _ in hugging_face._loglikelihood_tokens(requests, disable_tqdm=True)]
    assert cached != pytest.approx(alone, rel=1e-3)


def test_a_tokenizer_without_an_end_of_text_begins_with_its_line_break() -> None:
    tokenizer = CharTokenizer("ab\n")
    model = LoadedModel("small", untrained(tokenizer.vocab_size), tokenizer)
    assert HarnessModel(model).prefix_token_id == tokenizer.encode("\n")[0]


def test_a_tokenizer_without_an_end_of_text_or_line_break_is_refused_if_one_is_needed() -> None:
    tokenizer = CharTokenizer("ab")
    model = HarnessModel(LoadedModel("small", untrained(tokenizer.vocab_size), tokenizer))
    with pytest.raises(UserError, match="neither an end of text nor a line break"):
        model.loglikelihood(asked(("", "ab")), disable_tqdm=True)


def untrained(d_vocab: int) -> Any:
    config = gpt2_small.TransformerConfig(
        d_model=8, n_layers=1, n_heads=1, n_ctx=16, d_vocab=d_vocab
    )
    return gpt2_small.Transformer(config).eval()


def test_a_task_that_generates_more_than_the_context_is_refused(loaded: LoadedModel) -> None:
    with pytest.raises(UserError, match="generates up to 256 tokens, and n_ctx is 96"):
        HarnessModel(loaded).generate_until(asked(("a", {"until": []})))


def test_a_mistyped_task_gets_a_suggestion(loaded: LoadedModel, tasks: Path) -> None:
    from gpt2_small.evaluation.harness import unknown_task

    sentence = unknown_task("hellaswg", ["hellaswag", "piqa"])
    assert sentence == "there is no task 'hellaswg'; did you mean hellaswag?"
