"""List the known mistakes in learning_rate."""

from gpt2_small.checker.mistakes.mistake import Mistake

PART = "learning_rate"
_WARM_UP = "return peak * (step + 1) / warmup_steps"
_ENDS = "peak_step, last_step = max(warmup_steps - 1, 0), total_steps - 1"
_PROGRESS = "progress = 1.0 if step >= last_step else (step - peak_step) / (last_step - peak_step)"
_FINAL = "final = final_fraction * peak"
_COSINE = "return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * progress))"

_RISE_HINTS = (
    "What are the rates of the first steps when the warm-up has 7?",
    "Steps count from 0, and step warmup_steps - 1 has the peak; the first step already learns.",
    "peak * (step + 1) / warmup_steps",
)
_FALL_HINTS = (
    "Draw the rates after the warm-up.",
    (
        "Half a cosine runs from the peak at step warmup_steps - 1 to the final rate at step "
        "total_steps - 1."
    ),
    (
        "final + (peak - final) * 0.5 * (1 + cos(pi * progress)), progress = (step - "
        "peak_step) / (last_step - peak_step)"
    ),
)
_END_HINTS = (
    "What are the rates of the last step and of those after it?",
    "The last step, total_steps - 1, has final_fraction * peak, and so have all after it.",
    "progress = 1 for step >= total_steps - 1",
)
_FLOOR_HINTS = (
    "What is the last rate for a peak of 6?",
    "final_fraction is a share of the peak.",
    "final = final_fraction * peak",
)

MISTAKES = [
    Mistake(
        id="schedule-refuses-all-warm-up",
        component=PART,
        old="if not 0 <= warmup_steps <= total_steps or total_steps < 1:",
        new="if not 0 <= warmup_steps < total_steps or total_steps < 1:",
        sentence="refuses a warm-up that takes all steps, as in a training shorter than it",
        hints=(
            "What does it say to a warm-up of 5 of 5 steps?",
            "A warm-up may take all steps; only a longer one is refused.",
            "if warmup_steps > total_steps: raise ValueError(...)",
        ),
    ),
    Mistake(
        id="schedule-whole-cosine",
        component=PART,
        old=_COSINE,
        new="return final + (peak - final) * 0.5 * (1 + math.cos(2 * math.pi * progress))",
        sentence="runs a whole cosine instead of half of one, so that it ends at the peak again",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-first-step-zero",
        component=PART,
        old=_WARM_UP,
        new="return peak * step / warmup_steps",
        sentence="has a rate of 0 for the whole first step",
        hints=_RISE_HINTS,
    ),
    Mistake(
        id="schedule-warm-up-from-zero",
        component=PART,
        old=_WARM_UP,
        new="return peak * step / max(warmup_steps - 1, 1)",
        sentence="begins its warm-up with a rate of 0, and divides by warmup_steps - 1",
        hints=_RISE_HINTS,
    ),
    Mistake(
        id="schedule-warm-up-one-longer",
        component=PART,
        old=_WARM_UP,
        new="return peak * (step + 1) / (warmup_steps + 1)",
        sentence="reaches the peak one step too late",
        hints=_RISE_HINTS,
    ),
    Mistake(
        id="schedule-warm-up-square",
        component=PART,
        old=_WARM_UP,
        new="return peak * ((step + 1) / warmup_steps) ** 2",
        sentence="rises with the square of the step",
        hints=_RISE_HINTS,
    ),
    Mistake(
        id="schedule-warm-up-root",
        component=PART,
        old=_WARM_UP,
        new="return peak * ((step + 1) / warmup_steps) ** 0.5",
        sentence="rises with the square root of the step",
        hints=_RISE_HINTS,
    ),
    Mistake(
        id="schedule-warm-up-sine",
        component=PART,
        old=_WARM_UP,
        new="return peak * math.sin(math.pi / 2 * (step + 1) / warmup_steps)",
        sentence="rises along a sine instead of a straight line",
        hints=_RISE_HINTS,
    ),
    Mistake(
        id="schedule-warm-up-from-floor",
        component=PART,
        old=_WARM_UP,
        new=(
            "return final_fraction * peak + (1 - final_fraction) * peak * (step + 1) / warmup_steps"
        ),
        sentence="rises from the final rate instead of 0",
        hints=_RISE_HINTS,
    ),
    Mistake(
        id="schedule-warm-up-constant",
        component=PART,
        old=_WARM_UP,
        new="return peak",
        sentence="has the peak rate during the whole warm-up",
        hints=_RISE_HINTS,
    ),
    Mistake(
        id="schedule-warm-up-in-whole-numbers",
        component=PART,
        old=_WARM_UP,
        new="return peak * ((step + 1) // warmup_steps)",
        sentence="divides whole numbers in the warm-up, which gives 0",
        hints=_RISE_HINTS,
    ),
    Mistake(
        id="schedule-warm-up-of-total",
        component=PART,
        old=_WARM_UP,
        new="return peak * (step + 1) / total_steps",
        sentence="rises as if all steps were warm-up",
        hints=_RISE_HINTS,
    ),
    Mistake(
        id="schedule-warm-up-missing",
        component=PART,
        old="if step < warmup_steps:",
        new="if False:",
        sentence="has no warm-up",
        hints=_RISE_HINTS,
    ),
    Mistake(
        id="schedule-steps-from-one",
        component=PART,
        old=_WARM_UP,
        new="return peak * step / warmup_steps",
        also=(
            (
                _PROGRESS,
                (
                    "progress = 1.0 if step - 1 >= last_step else max(step - 1 - peak_step, "
                    "0) / (last_step - peak_step)"
                ),
            ),
        ),
        sentence="counts steps from 1",
        hints=_RISE_HINTS,
    ),
    Mistake(
        id="schedule-end-one-late",
        component=PART,
        old=_ENDS,
        new="peak_step, last_step = max(warmup_steps - 1, 0), total_steps",
        sentence="reaches the final rate one step too late",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-fall-one-late",
        component=PART,
        old=_ENDS,
        new=("peak_step, last_step = min(warmup_steps, total_steps - 2), total_steps - 1"),
        sentence="begins to fall one step too late",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-both-one-late",
        component=PART,
        old=_ENDS,
        new="peak_step, last_step = warmup_steps, total_steps",
        sentence=("runs its cosine from warmup_steps to total_steps, one step late at both ends"),
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-cosine-over-everything",
        component=PART,
        old=_ENDS,
        new="peak_step, last_step = 0, total_steps - 1",
        sentence="runs its cosine over all steps, the warm-up's included",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-cosine-of-length",
        component=PART,
        old=_PROGRESS,
        new="progress = 1.0 if step >= last_step else (step - peak_step) / last_step",
        sentence="divides by the number of all steps instead of those after the warm-up",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-cosine-of-all-steps",
        component=PART,
        old=_PROGRESS,
        new="progress = min((step - peak_step) / total_steps, 1.0)",
        sentence="divides by total_steps instead of the number of steps after the warm-up",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-progress-in-whole-numbers",
        component=PART,
        old=_PROGRESS,
        new=(
            "progress = 1.0 if step >= last_step else (step - peak_step) // (last_step - peak_step)"
        ),
        sentence="divides whole numbers for the progress, which gives 0",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-linear",
        component=PART,
        old=_COSINE,
        new="return final + (peak - final) * (1 - progress)",
        sentence="falls along a straight line",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-quarter-cosine",
        component=PART,
        old=_COSINE,
        new="return final + (peak - final) * math.cos(math.pi / 2 * progress)",
        sentence="falls along a quarter of a cosine",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-half-missing",
        component=PART,
        old=_COSINE,
        new="return final + (peak - final) * (1 + math.cos(math.pi * progress))",
        sentence="leaves out the half: it starts at nearly twice the peak",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-half-added",
        component=PART,
        old=_COSINE,
        new="return final + (peak - final) * (0.5 + (1 + math.cos(math.pi * progress)))",
        sentence=(
            "adds the half instead of multiplying by it: it starts at two and a half times the peak"
        ),
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-refuses-later-steps",
        component=PART,
        old="if step < warmup_steps:",
        new=(
            "if step >= total_steps:\n        raise ValueError(f'step is {step}')\n"
            "    if step < warmup_steps:"
        ),
        sentence="refuses the steps after the last, which have the final rate",
        hints=_END_HINTS,
    ),
    Mistake(
        id="schedule-one-missing",
        component=PART,
        old=_COSINE,
        new="return final + (peak - final) * 0.5 * math.cos(math.pi * progress)",
        sentence="leaves out the 1 +",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-rises",
        component=PART,
        old=_COSINE,
        new="return final + (peak - final) * 0.5 * (1 - math.cos(math.pi * progress))",
        sentence="rises after the warm-up instead of falling",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-pi-missing",
        component=PART,
        old=_COSINE,
        new="return final + (peak - final) * 0.5 * (1 + math.cos(progress))",
        sentence="leaves out pi",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-degrees",
        component=PART,
        old=_COSINE,
        new=(
            "if step >= last_step:\n"
            "        return final\n"
            "    return final + (peak - final) * 0.5 * (1 + math.cos(180 * progress))"
        ),
        also=((_ENDS, "peak_step, last_step = warmup_steps - 1, total_steps - 1"),),
        sentence="gives math.cos an angle in degrees, but it takes radians",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-sine",
        component=PART,
        old=_COSINE,
        new="return final + (peak - final) * 0.5 * (1 + math.sin(math.pi * progress))",
        sentence="takes a sine for the cosine",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-exponential",
        component=PART,
        old=_COSINE,
        new="return peak * max(final_fraction, 1e-3) ** progress",
        sentence="falls exponentially",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-inverse-square-root",
        component=PART,
        old=_COSINE,
        new="return peak * (max(warmup_steps, 1) / (step + 1)) ** 0.5",
        sentence="falls with the inverse square root of the step",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-constant",
        component=PART,
        old=_COSINE,
        new="return peak",
        sentence="stays at the peak after the warm-up",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-gives-tensors",
        component=PART,
        old=_COSINE,
        new=f"return torch.tensor({_COSINE.removeprefix('return ')})",
        also=((_WARM_UP, f"return torch.tensor({_WARM_UP.removeprefix('return ')})"),),
        sentence="returns tensors instead of numbers",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-squared-cosine",
        component=PART,
        old=_COSINE,
        new=("return final + (peak - final) * (0.5 * (1 + math.cos(math.pi * progress))) ** 2"),
        sentence="squares its cosine",
        hints=_FALL_HINTS,
    ),
    Mistake(
        id="schedule-up-again",
        component=PART,
        old=_PROGRESS,
        new="progress = (step - peak_step) / max(last_step - peak_step, 1)",
        sentence="rises again after the last step",
        hints=_END_HINTS,
    ),
    Mistake(
        id="schedule-zero-afterwards",
        component=PART,
        old=_PROGRESS,
        new=(
            "if step > last_step:\n"
            "        return 0.0\n"
            "    progress = 1.0 if step >= last_step else (step - peak_step) / "
            "(last_step - peak_step)"
        ),
        sentence="drops to 0 after the last step",
        hints=_END_HINTS,
    ),
    Mistake(
        id="schedule-starts-again",
        component=PART,
        old=_PROGRESS,
        new=(
            "step = step % total_steps\n"
            "    if step < warmup_steps:\n"
            "        return peak * (step + 1) / warmup_steps\n"
            "    progress = 1.0 if step >= last_step else (step - peak_step) / "
            "(last_step - peak_step)"
        ),
        sentence="starts again after the last step",
        hints=_END_HINTS,
    ),
    Mistake(
        id="schedule-peak-afterwards",
        component=PART,
        old=_PROGRESS,
        new=(
            "if step > last_step:\n"
            "        return peak\n"
            "    progress = 1.0 if step >= last_step else (step - peak_step) / "
            "(last_step - peak_step)"
        ),
        sentence="goes back to the peak after the last step",
        hints=_END_HINTS,
    ),
    Mistake(
        id="schedule-down-to-zero",
        component=PART,
        old=_FINAL,
        new="final = 0.0 * final_fraction",
        sentence="falls to 0 whatever final_fraction is",
        hints=_FLOOR_HINTS,
    ),
    Mistake(
        id="schedule-floor-not-a-share",
        component=PART,
        old=_FINAL,
        new="final = final_fraction",
        sentence="takes final_fraction for a rate instead of a share of the peak",
        hints=_FLOOR_HINTS,
    ),
    Mistake(
        id="schedule-floor-always-a-tenth",
        component=PART,
        old=_FINAL,
        new="final = 0.1 * peak",
        sentence="always ends at a tenth of the peak",
        hints=_FLOOR_HINTS,
    ),
    Mistake(
        id="schedule-floor-on-top",
        component=PART,
        old=_COSINE,
        new="return final + peak * 0.5 * (1 + math.cos(math.pi * progress))",
        sentence="adds the final rate on top of a full cosine",
        hints=_FLOOR_HINTS,
    ),
    Mistake(
        id="schedule-floor-not-added",
        component=PART,
        old=_COSINE,
        new="return (peak - final) * 0.5 * (1 + math.cos(math.pi * progress))",
        sentence="falls by the right amount, but does not add the final rate",
        hints=_FLOOR_HINTS,
    ),
    Mistake(
        id="schedule-floor-cuts",
        component=PART,
        old=_COSINE,
        new="return max(final, peak * 0.5 * (1 + math.cos(math.pi * progress)))",
        sentence="cuts a cosine to 0 off at the final rate",
        hints=_FLOOR_HINTS,
    ),
    Mistake(
        id="schedule-default-zero",
        component=PART,
        old="final_fraction: float = 0.1",
        new="final_fraction: float = 0.0",
        sentence="ends at 0 when final_fraction is left out",
        hints=_FLOOR_HINTS,
    ),
    Mistake(
        id="schedule-squared-half-angle",
        component=PART,
        old=_COSINE,
        new="return final + (peak - final) * math.cos(math.pi * progress / 2) ** 2",
        sentence="writes half a cosine as a squared one",
        equivalent=True,
    ),
]
