"""Test lessons: independent oracles, known mistakes, and current notebooks."""

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from checking import check_text
from default_share import slowly
from filled_skeleton import filled_in
from make_notebooks import notebook, sources
from processes import ROOT, run_python

from gpt2_small import binding
from gpt2_small.checker.claims.judging.runner import judge, judge_each, reference
from gpt2_small.checker.exercise_set import ExerciseSet
from gpt2_small.checker.exercise_sets import find_lesson, lesson_folders
from gpt2_small.checker.learner.skeleton import skeleton
from gpt2_small.checker.mistakes.edited_reference import build, reference_text
from gpt2_small.checker.mistakes.matching.naming import name_mistake
from gpt2_small.checker.mistakes.mistake import Mistake

LESSONS = tuple(lesson_folders())
MISTAKES = [
    pytest.param(lesson, mistake, id=mistake.id)
    for lesson in LESSONS
    for part in find_lesson(lesson).parts
    for mistake in find_lesson(lesson).mistakes(part)
]


def text() -> str:
    return (ROOT / "lessons" / "tiny_shakespeare.txt").read_text(encoding="utf-8")


def module_of(lesson: str) -> ModuleType:
    return reference(find_lesson(lesson))


def statuses(module: ModuleType, part: str, exercises: ExerciseSet) -> list[str]:
    return [judged.result.status for judged in judge(module, part, exercises=exercises)]


def test_lessons_are_found_by_their_names() -> None:
    assert {"bigram", "attention", "tokenization"} <= set(LESSONS)


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_reference_of_a_lesson_passes_its_own_claims(lesson: str) -> None:
    exercises = find_lesson(lesson)
    for part in exercises.parts:
        found = statuses(reference(exercises), part, exercises)
        assert found
        assert set(found) == {"passed"}


def is_rejected(mistake: Mistake, exercises: ExerciseSet) -> bool:
    """Return whether a claim about a mistake's part fails; later claims are not judged."""
    wrong = build(mistake, exercises=exercises)
    every = judge_each(exercises.claims(mistake.component), wrong, 0, exercises)
    return any(judged.result.status != "passed" for judged in every)


@pytest.mark.parametrize(
    ("lesson", "part"), [(lesson, part) for lesson in LESSONS for part in find_lesson(lesson).parts]
)
def test_every_mistake_of_a_lessons_part_is_rejected(lesson: str, part: str) -> None:
    exercises = find_lesson(lesson)
    found = exercises.mistakes(part)
    assert [mistake.id for mistake in found if not is_rejected(mistake, exercises)] == []


@pytest.mark.slow
@pytest.mark.parametrize(("lesson", "mistake"), MISTAKES)
def test_a_mistake_of_a_lesson_is_named(lesson: str, mistake: Mistake) -> None:
    exercises, part = find_lesson(lesson), mistake.component
    judged = judge(build(mistake, exercises=exercises), part, exercises=exercises)
    seen = {one.result.check: one.seen for one in judged if one.seen}
    failed = [one.result.check for one in judged if one.result.status == "failed"]
    naming = name_mistake(part, seen, failed, 0, None, exercises)
    assert [each.id for each in naming.mistakes] == [mistake.id]


ONES = "torch.ones(seq, seq, dtype=values.dtype).tril()"
BY_ROW = "weights / weights.sum(dim=1, keepdim=True)"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ((BY_ROW, BY_ROW), ""),
        ((BY_ROW, "weights / weights.sum(dim=0)"), "average-by-matrix-by-column"),
        slowly(((BY_ROW, "weights / weights.sum(dim=1)"), "average-by-matrix-without-keepdim")),
        slowly(((ONES.replace(", dtype=values.dtype", ""), "torch.ones(seq, seq)"),
                "average-by-matrix-full")),
    ],
)  # fmt: skip
def test_a_matrix_made_without_dtype_is_right_in_a_lesson_and_hides_no_mistake(
    tmp_path: Path, change: tuple[str, str], named: str
) -> None:
    lesson = find_lesson("attention")
    right = reference_text(lesson).replace(ONES, ONES.replace(", dtype=values.dtype", ""))
    assert change[0] in right
    part = "average_by_matrix"
    verdict = check_text(tmp_path, lesson.mark + right.replace(*change), part)
    assert verdict.reports[part].mistakes == ((named,) if named else ())
    assert verdict.state_of(part) == ("failed" if named else "passed")


@pytest.mark.parametrize(
    ("lesson", "part", "change"),
    [
        ("gpt", "head", ("+ mask).softmax(dim=-1)", "+ mask).softmax(-1, torch.float32)")),
        ("variants", "gelu", ("    inner = math", "    pre = pre.float()\n    inner = math")),
    ],
)
def test_a_result_that_is_always_float32_is_right_in_a_lesson(
    lesson: str, part: str, change: tuple[str, str], tmp_path: Path
) -> None:
    text = reference_text(find_lesson(lesson))
    assert text.count(change[0]) == 1
    verdict = check_text(tmp_path, find_lesson(lesson).mark + text.replace(*change), part)
    assert verdict.state_of(part) == "passed"


DRAW = "text.append(int(torch.multinomial(table[text[-1]], num_samples=1, generator=generator)))"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ([(DRAW, DRAW.replace(", generator=generator", "")),
          ("while len(text) < length:", "while len(text) <= length:")], "draw-one-more"),
        ([(DRAW, "text.append(int(table[text[-1]].argmax()))")], "draw-greedy"),
    ],
)  # fmt: skip
def test_a_draw_gets_no_name_by_chance(
    tmp_path: Path, changes: list[tuple[str, str]], named: str
) -> None:
    lesson = find_lesson("bigram")
    text = reference_text(lesson)
    for change in changes:
        assert text.count(change[0]) == 1
        text = text.replace(*change)
    verdict = check_text(tmp_path, lesson.mark + text, "draw")
    assert verdict.reports["draw"].mistakes == (named,)
    assert not any("nan" in result.message for result in verdict.results)


def test_another_type_than_a_tensor_is_reported_in_a_lesson(tmp_path: Path) -> None:
    lesson = find_lesson("bigram")
    text = "\n\ndef count_pairs(tokens, d_vocab):\n    return {}\n"
    verdict = check_text(tmp_path, lesson.mark + reference_text(lesson) + text, "count_pairs")
    assert "what count_pairs returns is a dict where a tensor is needed" in {
        result.message.partition(";")[0] for result in verdict.results
    }


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_exercise_has_at_least_eight_mistakes_and_three_hints(lesson: str) -> None:
    exercises = find_lesson(lesson)
    for part in exercises.parts:
        assert len(exercises.mistakes(part)) >= 8, part
        assert len(exercises.guides()[part].hints) == 3


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_skeleton_filled_in_is_the_reference(lesson: str) -> None:
    exercises = find_lesson(lesson)
    assert filled_in(skeleton(exercises), exercises) == reference_text(exercises)


@pytest.mark.parametrize("source", sources(), ids=lambda path: path.parent.name)
def test_a_notebook_equals_the_one_generated_from_its_source(source: Path) -> None:
    made = notebook(source.read_text(encoding="utf-8"))
    written = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert written == made, "run python tools/make_notebooks.py"


@pytest.mark.parametrize("source", sources(), ids=lambda path: path.parent.name)
def test_a_notebook_has_one_title_and_headings_below_it(source: Path) -> None:
    cells = json.loads(source.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
    lines = [line for cell in cells if cell["cell_type"] == "markdown" for line in cell["source"]]
    headings = [line for line in lines if line.startswith("#")]
    assert headings[0].startswith(f"# {source.parent.name[:2]} ")
    assert len(headings) > 2
    assert all(line.startswith("## ") for line in headings[1:])


@pytest.mark.slow
@pytest.mark.parametrize("source", sources(), ids=lambda path: path.parent.name)
def test_a_notebook_runs_in_an_empty_folder(source: Path, tmp_path: Path) -> None:
    import nbclient
    import nbformat

    cells = nbformat.read(source.with_suffix(".ipynb"), as_version=4)  # type: ignore[no-untyped-call]
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(cells, timeout=600, resources=resources).execute()
    assert not any(
        output.output_type == "error"
        for cell in cells.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def test_a_lessons_file_is_checked_by_the_command(tmp_path: Path) -> None:
    path = tmp_path / "my_bigram.py"
    right = reference_text(find_lesson("bigram"))
    wrong = right.replace(
        "tokens[:-1] * d_vocab + tokens[1:]", "tokens[1:] * d_vocab + tokens[:-1]"
    )
    path.write_text(find_lesson("bigram").mark + wrong)
    command = ["-m", "gpt2_small", "check", path, "--json", "out.json"]
    checked = run_python(*command, cwd=tmp_path)
    report = json.loads((tmp_path / "out.json").read_text())
    assert checked.returncode == 1, checked.stdout + checked.stderr
    named = {result["mistake"] for result in report["results"] if result["status"] == "failed"}
    assert "count-pairs-transposed" in named


# 01 Bigram


@pytest.fixture(scope="module")
def shakespeare() -> torch.Tensor:
    characters = sorted(set(text()))
    index = {character: id for id, character in enumerate(characters)}
    return torch.tensor([index[character] for character in text()])


def test_counting_reaches_the_floor_that_the_lesson_states(shakespeare: torch.Tensor) -> None:
    bigram, border = module_of("bigram"), len(shakespeare) * 9 // 10
    counts = bigram.count_pairs(shakespeare[:border], 65)
    floor = bigram.mean_loss(bigram.probabilities(counts, 0), shakespeare[:border])
    held_out = bigram.mean_loss(bigram.probabilities(counts, 1), shakespeare[border:])
    assert float(floor) == pytest.approx(2.4519, abs=5e-5)
    assert float(held_out) == pytest.approx(2.4819, abs=5e-5)


@pytest.mark.parametrize("seed", range(3))
def test_a_gradient_run_ends_at_the_floor_of_counting(shakespeare: torch.Tensor, seed: int) -> None:
    bigram, border = module_of("bigram"), len(shakespeare) * 9 // 10
    counts = bigram.count_pairs(shakespeare[:border], 65).double()
    floor = float(bigram.mean_loss(bigram.probabilities(counts, 0), shakespeare[:border]))
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(65, 65, generator=generator, dtype=torch.float64).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for step in range(400):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / 400)
        loss = -(counts * logits.log_softmax(dim=1)).sum() / counts.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert 0 < float(loss.detach()) - floor < 0.004


# 04 Tokenization


def test_the_merges_of_a_real_text_are_those_of_tokenizers_up_to_the_first_tie() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    lesson, beginning = module_of("tokenization"), text()[:50_000]
    merges = lesson.train_bpe(beginning, 256 + 31)
    names = {byte: bytes([byte]) for byte in range(256)}
    for number, (left, right) in enumerate(merges):
        names[256 + number] = names[left] + names[right]
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + 31, initial_alphabet=alphabet, show_progress=False
    )
    learner.train_from_iterator([beginning], trainer)
    theirs = [learner.id_to_token(256 + number).replace("Ġ", " ") for number in range(31)]
    assert [names[256 + number].decode() for number in range(31)] == theirs


def test_decoding_a_texts_ids_gives_the_text() -> None:
    lesson = module_of("tokenization")
    merges = lesson.train_bpe(text()[:20_000], 300)
    for sample in (text()[20_000:30_000], "naïve café, 東京 🙂\t\n  x", ""):
        assert lesson.decode(lesson.encode(sample, merges), merges) == sample


def test_the_text_of_the_lessons_is_tiny_shakespeare() -> None:
    import hashlib

    digest = hashlib.sha256(text().encode()).hexdigest()
    assert digest == "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
    assert binding.reference_path().parent == ROOT
