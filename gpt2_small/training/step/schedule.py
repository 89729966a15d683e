"""Compute and describe a run's learning rate, and continue its schedule when a run is extended."""

from collections.abc import Callable
from dataclasses import replace

from gpt2_small.errors import UserError, counted
from gpt2_small.training.recipes.recipe import Recipe

# solution.learning_rate, or a learner's.
Cosine = Callable[..., float]

# Of a constant schedule, where decay_steps is left out (Hägele et al. 2024, "Scaling Laws and
# Compute-Optimal Training Beyond Fixed Training Durations", section 4).
DECAY_SHARE = 0.2


def rate_at(recipe: Recipe, step: int, cosine: Cosine) -> float:
    """The learning rate of a step, counted from 0.

    cosine: the solution's `learning_rate`.
    """
    total = recipe.total_steps
    warmup = min(recipe.warmup_steps, total)
    if recipe.schedule == "constant" and step >= warmup:
        return recipe.learning_rate * _decayed(recipe, step)
    return cosine(
        step,
        peak=recipe.learning_rate,
        warmup_steps=warmup,
        total_steps=total,
        final_fraction=recipe.final_fraction,
    )


def _decayed(recipe: Recipe, step: int) -> float:
    """The factor of the rate: 1, then linear to final_fraction at the last step, then constant."""
    decay = min(decay_steps(recipe), recipe.total_steps)
    done = step + 1 - (recipe.total_steps - decay)
    if done <= 0:
        return 1.0
    progress = min(done / decay, 1.0) if decay else 1.0
    return 1.0 + (recipe.final_fraction - 1.0) * progress


def decay_steps(recipe: Recipe) -> int:
    """The number of steps of a constant schedule's decay."""
    given = recipe.decay_steps
    return round(DECAY_SHARE * recipe.total_steps) if given is None else given


def describe(recipe: Recipe, cosine: Cosine) -> str:
    """Describe the schedule in a line: the warm-up, the shape, and the last rate."""
    total, last = recipe.total_steps, recipe.max_steps
    if recipe.warmup_steps >= total:
        highest = rate_at(recipe, min(total, last) - 1, cosine)
        rising = f"rate rises to {highest:g} in {counted(min(total, last), 'step')}"
        if last > total:
            return f"{rising}, then {rate_at(recipe, total, cosine):g} to step {last:,}"
        return (
            f"{rising} and never falls: the warm-up is {recipe.warmup_steps:,} steps; for a decay "
            "give fewer with --set warmup_steps=N"
        )
    warmup = f"rate up to {recipe.learning_rate:g} in {counted(recipe.warmup_steps, 'step')}"
    end = f"{recipe.learning_rate * recipe.final_fraction:g} at step {total:,}"
    if recipe.schedule == "constant":
        falls = max(0, total - decay_steps(recipe))
        shape = f"constant to step {falls:,}, linear to {end}"
    else:
        shape = f"cosine to {end}"
    if last > total:
        shape += f", constant to step {last:,}"
    elif last < total:
        shape += f"; the run ends at step {last:,} with {rate_at(recipe, last - 1, cosine):g}"
    return f"{warmup}, {shape}"


def extended(
    before: Recipe, wanted: Recipe, is_chosen: bool, step: int, cosine: Cosine
) -> tuple[Recipe, list[str]]:
    """The recipe of a run that is resumed with another number of steps, and remarks on it.

    The schedule is unchanged, so that no rate rises: later steps have its last rate. A constant
    schedule whose decay has not begun is stretched instead.

    before, wanted: the run's recipe so far, and the requested one.
    is_chosen: whether the user gave the schedule's length.
    step: the run's steps so far.

    Raises UserError when the rate of every further step would be 0.
    """
    if not is_chosen and wanted.max_steps != before.max_steps:
        still_constant = before.total_steps - decay_steps(before) >= step
        if before.schedule == "constant" and before.schedule_steps is None and still_constant:
            return wanted, []
        wanted = replace(wanted, schedule_steps=before.total_steps)
    if wanted == before:
        return wanted, []
    stretch = replace(wanted, schedule_steps=wanted.max_steps)
    flag = f"--set schedule_steps={wanted.max_steps}"
    if wanted.max_steps > step and rate_at(wanted, step, cosine) == 0:
        raise UserError(
            f"--max-steps is {wanted.max_steps}, but the schedule of {before.total_steps:,} steps "
            f"is at its end and the rate is 0; give {flag} to stretch it, which makes the rate of "
            f"the next step {rate_at(stretch, step, cosine):g}"
        )
    remarks = []
    was, now = rate_at(before, step, cosine), rate_at(wanted, step, cosine)
    if was != now:
        remarks.append(f"the schedule changes: the next step's rate is {now:g} instead of {was:g}")
    elif wanted.max_steps != before.max_steps and not is_chosen:
        remarks.append(
            f"the schedule keeps its length of {before.total_steps:,} steps; {flag} would "
            f"change the next step's rate from {now:g} to {rate_at(stretch, step, cosine):g}"
        )
    return wanted, remarks
