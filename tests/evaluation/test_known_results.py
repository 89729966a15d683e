"""Test GPT-2 small's published HellaSwag accuracies by both definitions."""

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def hellaswag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    datasets = pytest.importorskip("datasets")
    path = tmp_path_factory.mktemp("hellaswag") / "val.jsonl"
    rows = datasets.load_dataset("Rowan/hellaswag", split="validation")
    path.write_text("".join(f"{json.dumps(dict(row))}\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("definition", "acc", "acc_norm"),
    [("completion", 0.2859, 0.2955), ("harness", 0.2892, 0.3114)],
)
def test_gpt2_small_reaches_the_published_scores(
    hellaswag: Path, definition: str, acc: float, acc_norm: float
) -> None:
    from gpt2_small.evaluation.choices import answer, read_questions
    from gpt2_small.generation import open_model

    loaded = open_model("gpt2")
    result = answer(loaded.model, loaded.tokenizer, read_questions(hellaswag), definition)
    assert (round(result.acc, 4), round(result.acc_norm, 4)) == pytest.approx(
        (acc, acc_norm), abs=2e-4
    )
