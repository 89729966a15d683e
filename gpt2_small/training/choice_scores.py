"""Answer multiple-choice questions during training, each process a share of them.

The definition is `completion`, which build-nanogpt uses for its HellaSwag curve. The model runs
neither compiled nor wrapped, in its weights' dtype.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gpt2_small.data.hellaswag import FILE_NAME as HELLASWAG_FILE
from gpt2_small.data.hellaswag import NAME as HELLASWAG
from gpt2_small.errors import UserError
from gpt2_small.evaluation.choices import Question, answer, check_scorable, read_questions
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.training.loop import Training
from gpt2_small.training.recipes.recipe import Recipe
from gpt2_small.training.recipes.settings import Settings
from gpt2_small.training.step.micro_batch_size import out_of_memory_as_a_sentence

DEFINITION = "completion"
ACC, ACC_NORM, BITS_PER_BYTE = "choices_acc", "choices_acc_norm", "choices_bits_per_byte"
GET_IT = f"make it with `gpt2-small prepare {HELLASWAG} --out FOLDER`"


def with_hellaswag_found(settings: Settings, *, is_asked: bool) -> tuple[Settings, list[str]]:
    """Replace the choices `hellaswag` by the path of its file, and describe this in a remark.

    The file is searched for in the folder of the data, in `hellaswag` beside that folder, and in
    `data/hellaswag`.

    is_asked: whether the user named it; a preset's is left out when it is missing.

    Raises UserError when the user named it and it is missing.
    """
    if settings.recipe.choices != HELLASWAG or Path(HELLASWAG).is_file():
        return settings, []
    data = Path(settings.data or ".")
    folder = data if data.is_dir() else data.parent
    places = (folder, folder.parent / HELLASWAG, Path("data") / HELLASWAG)
    found = next(
        (place / HELLASWAG_FILE for place in places if (place / HELLASWAG_FILE).is_file()), None
    )
    if found is None and is_asked:
        raise UserError(
            f"choices is {HELLASWAG}, and there is no {HELLASWAG_FILE} in {folder}; {GET_IT} and "
            "give its path"
        )
    recipe = replace(settings.recipe, choices=None if found is None else str(found))
    remark = (
        f"HellaSwag is left out: there is no {HELLASWAG_FILE}; {GET_IT}"
        if found is None
        else f"HellaSwag is answered during training, from {found}"
    )
    return replace(settings, recipe=recipe), [remark]


def read_choices(recipe: Recipe, tokenizer: Tokenizer, n_ctx: int) -> tuple[Question, ...]:
    """Read the questions of a run; none if its recipe names no file.

    Raises UserError for an unusable file, and for a question that does not fit n_ctx tokens.
    """
    if recipe.choices is None:
        return ()
    questions = tuple(read_questions(Path(recipe.choices), recipe.choices_limit))
    check_scorable(questions, DEFINITION, tokenizer, n_ctx)
    return questions


def hash_of(questions: Sequence[Question]) -> str:
    """SHA-256 of the questions, to compare them between processes."""
    return hashlib.sha256(repr(tuple(questions)).encode()).hexdigest()


def chance(questions: Sequence[Question]) -> float | None:
    """The accuracy of random guesses; None without questions."""
    if not questions:
        return None
    return sum(1 / len(question.endings) for question in questions) / len(questions)


def choice_scores(training: Training, questions: Sequence[Question]) -> dict[str, float]:
    """Accuracies and bits per byte of the model on all questions, by their names in the log.

    All processes take part and get the same numbers.
    """
    processes = training.processes
    with out_of_memory_as_a_sentence(training):
        result = answer(
            training.model,
            training.data.tokenizer,
            questions,
            DEFINITION,
            rank=processes.rank,
            world_size=processes.world_size,
            total=lambda sums: processes.sum(*sums),
        )
    return {
        ACC: result.acc,
        ACC_NORM: result.acc_norm,
        BITS_PER_BYTE: result.bits_per_byte,
    }
