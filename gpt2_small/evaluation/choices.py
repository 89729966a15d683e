"""Answer multiple-choice questions in HellaSwag's format by two different definitions.

`completion` is build-nanogpt's: the context unchanged. `harness` is lm-evaluation-harness's: the
activity's label before the context, brackets removed, and the score normalised by the ending's
characters. The scores of a model differ by about one point.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.evaluation import intervals
from gpt2_small.evaluation.continuation_scores import ContinuationScore, ContinuationScorer
from gpt2_small.files.special_files import refuse_pipe
from gpt2_small.model_protocol import Model
from gpt2_small.stories.choice_questions import story_questions
from gpt2_small.tokenizers.protocol import Tokenizer

DEFINITIONS = ("completion", "harness")
STORIES = "stories"
TEXTS = ("ctx", "ctx_a", "ctx_b", "activity_label")


class Inexpressible(UserError):
    """Questions whose text has words that the vocabulary lacks."""


@dataclass(frozen=True)
class Question:
    """A question: the context, whole and in two parts, its label, the endings and the answer."""

    ctx: str
    ctx_a: str
    ctx_b: str
    activity_label: str
    endings: tuple[str, ...]
    label: int


@dataclass(frozen=True)
class ChoiceResult:
    """Accuracies on questions, with standard errors.

    acc: by the log-probability of the whole ending.
    acc_norm: by the log-probability per token (`completion`) or per character (`harness`).
    bits_per_byte: of the right endings; it improves before accuracy does.
    """

    definition: str
    examples: int
    acc: float
    acc_norm: float
    acc_stderr: float | None
    acc_norm_stderr: float | None
    bits_per_byte: float


@dataclass(frozen=True)
class EncodedQuestion:
    """A question as token ids: a context, and for each ending its ids, norm and bytes."""

    context: list[int]
    endings: list[list[int]]
    norms: list[float]
    right: int
    right_bytes: int


def read_questions(path: Path, limit: int | None = None) -> list[Question]:
    """Read the questions of a JSON-lines file, at most `limit` of them.

    `stories`, if no file has that name, gives 1,000 questions on the built-in stories.

    Raises UserError, with the line, for a file that is missing or not in HellaSwag's format.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit is {limit}; give a whole number of at least 1")
    if path == Path(STORIES) and not path.exists():
        return [Question(**_fields(each, STORIES)) for each in story_questions(limit or 1000)]
    questions: list[Question] = []
    refuse_pipe(path)
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if len(questions) == limit:
                    break
                if line.strip():
                    questions.append(_question(line, f"{path}, line {number}"))
    except FileNotFoundError:
        raise UserError(f"there is no file {path}; check the name") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; give a JSON-lines file") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if not questions:
        raise UserError(f"{path} has no question; give a JSON-lines file in HellaSwag's format")
    return questions


def _question(line: str, place: str) -> Question:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{place} is not JSON; give a file with one object on each line") from None
    return Question(**_fields(fields, place))


def _fields(fields: Any, place: str) -> dict[str, Any]:
    """Check and complete the fields of a question."""
    if not isinstance(fields, dict):
        raise UserError(f"{place} is not a JSON object; give HellaSwag's format")
    missing = [name for name in ("endings", "label") if name not in fields]
    if "ctx" not in fields and "ctx_a" not in fields:
        missing.append("ctx")
    if missing:
        raise UserError(f"{place} has no {missing[0]!r}; give HellaSwag's format")
    endings = fields["endings"]
    if not isinstance(endings, list) or not all(isinstance(each, str) for each in endings):
        raise UserError(f"{place}: endings is not a list of texts")
    if len(endings) < 2:
        raise UserError(f"{place} has {len(endings)} endings; at least 2 are needed")
    texts = {name: fields.get(name, "") for name in TEXTS}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise UserError(f"{place}: {name} is {text!r}, not a text")
    if "ctx" not in fields:
        texts["ctx"] = " ".join(filter(None, [texts["ctx_a"], texts["ctx_b"]]))
    elif "ctx_a" not in fields:
        texts["ctx_a"] = texts["ctx"]
    label = str(fields["label"])
    if not label.isdecimal() or int(label) >= len(endings):
        raise UserError(
            f"{place}: label is {fields['label']!r}; give the number of the right ending, "
            f"0 to {len(endings) - 1} (HellaSwag's test split has none)"
        )
    return {"endings": tuple(endings), "label": int(label), **texts}


def without_brackets(text: str) -> str:
    """Remove WikiHow's brackets and double spaces as lm-evaluation-harness does."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def as_texts(question: Question, definition: str) -> tuple[str, list[str], list[float] | None]:
    """The context, the endings, and their norms; None for norms by the number of tokens."""
    if definition == "completion":
        return question.ctx, list(question.endings), None
    context = f"{question.activity_label}: {question.ctx_a} {question.ctx_b.capitalize()}"
    endings = [without_brackets(ending) for ending in question.endings]
    return without_brackets(context), endings, [float(len(ending)) for ending in endings]


def encode_question(question: Question, definition: str, tokenizer: Tokenizer) -> EncodedQuestion:
    """Encode a question, with a space before each ending.

    `completion` encodes context and ending separately, as build-nanogpt does. `harness` encodes
    them together and moves a context's trailing spaces to the ending, as lm-evaluation-harness
    does.
    """
    context, endings, norms = as_texts(question, definition)
    if definition == "completion":
        context_ids = tokenizer.encode(context)
        ids = [tokenizer.encode_ordinary(f" {ending}") for ending in endings]
    else:
        context_ids, ids = [], []
        for ending in endings:
            context_ids, ending_ids = encode_pair(tokenizer, context, f" {ending}")
            ids.append(ending_ids)
    right = question.label
    return EncodedQuestion(
        context_ids,
        ids,
        [float(len(each)) for each in ids] if norms is None else norms,
        right,
        len(f" {endings[right]}".encode()),
    )


def encode_pair(
    tokenizer: Tokenizer, context: str, continuation: str
) -> tuple[list[int], list[int]]:
    """Encode a context and its continuation as the harness does, which moves trailing spaces."""
    spaces = len(context) - len(context.rstrip())
    if spaces:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    whole, context_ids = tokenizer.encode(context + continuation), tokenizer.encode(context)
    return context_ids, whole[len(context_ids) :]


def check_scorable(
    questions: Sequence[Question], definition: str, tokenizer: Tokenizer, n_ctx: int
) -> list[EncodedQuestion]:
    """Encode questions, and check that they fit n_ctx tokens.

    Raises UserError for an ending that is empty or longer than n_ctx, and Inexpressible for a text
    with words that the vocabulary lacks.
    """
    try:
        prepared = [encode_question(question, definition, tokenizer) for question in questions]
    except UserError as error:
        raise Inexpressible(str(error)) from error
    for each in prepared:
        for ending in each.endings:
            if not each.context or not ending or len(ending) > n_ctx:
                raise UserError(
                    f"a context of {len(each.context)} and an ending of {len(ending)} tokens "
                    f"cannot be scored with n_ctx = {n_ctx}; "
                    "leave that question out, or give a model that reads more tokens"
                )
    return prepared


def answer(
    model: Model,
    tokenizer: Tokenizer,
    questions: Sequence[Question],
    definition: str,
    *,
    rank: int = 0,
    world_size: int = 1,
    total: Callable[[list[float]], list[float]] = lambda sums: sums,
    is_packed: bool | None = None,
    progress: Callable[[int], None] | None = None,
    encoded: Sequence[EncodedQuestion] | None = None,
) -> ChoiceResult:
    """Answer questions with a model.

    rank, world_size: this process's share is every world_size-th question from rank on.
    total: sums a list of numbers over all processes; the identity for one process.
    is_packed: as in `ContinuationScorer`.
    progress: called with the number of endings scored so far.
    encoded: the questions as `check_scorable` returned them.

    Raises UserError as `check_scorable` does.
    """
    share = slice(rank, None, world_size)
    if encoded is None:
        prepared = check_scorable(questions[share], definition, tokenizer, model.config.n_ctx)
    else:
        prepared = list(encoded[share])
    requests = [(each.context, ending) for each in prepared for ending in each.endings]
    scores = iter(ContinuationScorer(model, is_packed=is_packed).score(requests, progress=progress))
    sums = [0.0] * 5
    for each in prepared:
        own = [next(scores) for _ in each.endings]
        sums = [a + b for a, b in zip(sums, _counted(each, own), strict=True)]
    return _result(definition, total(sums))


def _counted(question: EncodedQuestion, scores: Sequence[ContinuationScore]) -> list[float]:
    """A question's contributions to count, acc, acc_norm, and bits and bytes of right endings."""
    totals = [score.total for score in scores]
    normed = [
        total / norm if norm else -math.inf
        for total, norm in zip(totals, question.norms, strict=True)
    ]
    return [
        1.0,
        float(totals.index(max(totals)) == question.right),
        float(normed.index(max(normed)) == question.right),
        -totals[question.right] / math.log(2),
        float(question.right_bytes),
    ]


def _result(definition: str, sums: Sequence[float]) -> ChoiceResult:
    examples, right, right_normed, bits, byte_count = sums
    count = int(examples)
    acc, acc_norm = (_share(int(number), count) for number in (right, right_normed))
    return ChoiceResult(
        definition, count, acc.value, acc_norm.value, acc.error, acc_norm.error, bits / byte_count
    )


def _share(number: int, count: int) -> intervals.MeanEstimate:
    """The fraction of questions with the standard error of the mean, as in the harness."""
    value = number / count
    error = math.sqrt(value * (1 - value) / (count - 1)) if count > 1 else None
    return intervals.MeanEstimate(value, error, count)
