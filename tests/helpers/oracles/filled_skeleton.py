"""Fill a skeleton with the reference's bodies."""

from gpt2_small.checker import kit_version
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.learner.skeleton import preface, reference_body, with_body


def filled_in(text: str, exercises: ExerciseSet = GPT2) -> str:
    """Return a skeleton with the reference's bodies and without its marks: the reference."""
    for part in exercises.parts:
        text = with_body(text, part, reference_body(part, exercises))
    return kit_version.without_mark(text).replace(preface(exercises) + exercises.mark, "", 1)
