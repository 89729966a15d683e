"""Lesson 07, as a notebook in percent format; lesson.ipynb is generated from it."""

# %% [markdown]
# # 07 Training and measuring
#
# Two runs end at different losses. Which of them is better, and how do you know? You write the parts of a training run
# outside the model, and the numbers by which runs are compared, and then measure the effect of each on a small model
# of stories whose lowest possible loss is known.
#
# ```
# gpt2-small start my_measuring.py --lesson measuring
# gpt2-small watch my_measuring.py
# ```
#
# This notebook runs on your file if `my_measuring.py` lies beside it, and on the reference otherwise. The next cell
# loads your file and checks it: after a change to the file, run it again. The notebook takes about a minute on two
# cores.

# %%
try:
    import gpt2_small
except ImportError:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "gpt2-small"], check=True)
    import gpt2_small

from pathlib import Path

import matplotlib.pyplot as plt
import torch

from gpt2_small.checker.exercise_sets import find_lesson

reference = find_lesson("measuring").reference
mine = Path("my_measuring.py")
lesson = gpt2_small.load(mine if mine.exists() else reference)
experiment = gpt2_small.load(reference.with_name("experiment.py"))
experiment.lesson = lesson
small_models = experiment.small_models
stored = small_models.stored("07_measuring")
print(f"This notebook runs on {lesson.__file__}")
if mine.exists():
    gpt2_small.check(mine)

# %% [markdown]
# ## The floor
#
# The stories of this kit are drawn from a grammar, so their entropy is known: no model can have a lower loss on new
# stories. A loss is therefore given here as its distance from that floor, 0.10 for 10 % above it.

# %%
print(f"the floor of the stories: {experiment.FLOOR:.4f} nats per word")
seed = 0
model, losses = experiment.trained(seed, name="cosine")
print(f"held-out loss of this run: {experiment.above_floor(model):.1%} above the floor")
plt.figure(figsize=(8, 3))
plt.plot(losses)
plt.axhline(experiment.FLOOR, color="black", linestyle=":", label="floor")
plt.xlabel("step")
plt.ylabel("nats per word")
plt.legend()
plt.show()

# %% [markdown]
# A model that ends *below* the floor has seen the tokens that it should predict. Without attention's mask, training
# looks perfect, and the loss is much too low.

# %%
cheating, _ = experiment.trained(
    seed, experiment.LONGER, steps=300, solution=experiment.without_mask(), name="no mask"
)
print(f"without the mask, after 300 steps: {experiment.above_floor(cheating):+.1%} from the floor")
print(f"over three seeds: {small_models.interval(stored['without the mask'])}")

# %% [markdown]
# ## Most mistakes train
#
# The other mistakes look healthier. Below, each is the only mistake in the model, trained for 300 steps of the preset
# `stories`: GELU computed with the exact formula, the variance divided by one less, positions read backwards, the
# norms after the sums, scores divided by the square root of d_model, no sum around attention, no mask. The grey band
# is the range of the correct model with five seeds; the mistakes have one seed each.

# %%
costs, right = experiment.costs_of_mistakes()
figure, axes = plt.subplots(figsize=(8, 3.2))
colors = ["C3" if cost < 0 else "C0" for cost in costs.values()]
axes.barh(list(costs), list(costs.values()), color=colors)
axes.axvspan(min(right), max(right), color="gray", alpha=0.5, label="right model, five seeds")
axes.axvline(0, color="black", linestyle=":", label="floor")
axes.legend(loc="upper right")
axes.invert_yaxis()
axes.set_xlabel("percent above the floor")
plt.show()
print(f"the right model, five seeds: {min(right):.1f} to {max(right):.1f} %")
for name, cost in costs.items():
    place = "below" if cost < min(right) else "above" if cost > max(right) else "within"
    print(f"{name:24} {cost:6.1f} %  {place} the right model's seeds")

# %% [markdown]
# The loss cannot distinguish the first two from the correct model, and the next three end less than ten percent of the
# floor above it: nobody would suspect a mistake behind such a curve. That is why the parts have a checker, which
# compares what they compute. `docs/mistakes.md` has the cost of every mistake that was measured.

# %% [markdown]
# ## The spread between seeds
#
# **Exercise: `interval`.** The same run with another seed ends at another loss. A few seeds give an interval for the
# mean of many; a smaller difference is no evidence.

# %%
seeds = stored["cosine"]
low, high = lesson.interval(seeds)
print("seeds:", ", ".join(f"{each:.3f}" for each in seeds))
print(f"mean {sum(seeds) / len(seeds):.3f}, 95 % interval {low:.3f} to {high:.3f}")

# %% [markdown]
# ## Warm-up and schedule
#
# **Exercise: `trapezoid`.** The learning rate rises, stays, and falls; the parts' `learning_rate` falls along a cosine.
# Do they matter? Each is trained with three seeds; the dots are the seeds, the bars their intervals.

# %%
figure, axes = plt.subplots(1, 2, figsize=(12, 3.2))
for name, schedule in experiment.SCHEDULES.items():
    rates = [schedule(step) for step in range(experiment.STEPS)]
    axes[0].plot(rates, label=name)
axes[0].set(xlabel="step", ylabel="learning rate")
axes[0].legend(fontsize=7)
compared = {name: stored[name] for name in experiment.SCHEDULES}
small_models.draw_intervals(axes[1], compared, "loss above the floor, as a share of it")
figure.tight_layout()
plt.show()
for name, values in compared.items():
    print(f"{name:34} {small_models.interval(values)}")

# %% [markdown]
# In a run as short as this one the slow decay of the cosine costs more than it gains: the rate is low for most of the
# steps. The trapezoid and a higher rate both end well below it, with no clear difference between them. The one thing
# that must not be left out is the warm-up at a high rate: without it the same run ends more than three times as far
# above the floor.
#
# ## Accumulating gradients
#
# **Exercise: `accumulate`.** A batch that does not fit into memory is divided into micro-batches, whose gradients add
# up to that of the whole. A step must not depend on the division, even into unequal micro-batches.

# %%
fresh = experiment.new_model(seed)
batch = experiment.windows(seed, 0)
gradients = []
for pieces in ([8], [4, 4], [5, 2, 1]):
    lesson.accumulate(
        fresh,
        batch.split(pieces),
        lambda model, rows: gpt2_small.next_token_loss(model(rows[:, :-1]), rows),
    )
    gradients.append(torch.cat([each.grad.flatten() for each in fresh.parameters()]))
    difference = (gradients[-1] - gradients[0]).abs().max() / gradients[0].abs().max()
    print(f"pieces of {pieces}: largest difference of the gradient {difference:.1e}")

# %% [markdown]
# ## Bits per byte
#
# **Exercise: `bits_per_byte`.** A model of characters and one of byte pairs read the same Shakespeare. By loss per
# token the characters are far ahead. But a token of byte pairs is longer; the bits for the same text can be compared.

# %%
for what in ("characters", "512 pairs"):
    nats, bits = (small_models.interval(stored[f"{unit}, {what}"]) for unit in
                  ("nats per token", "bits per byte"))  # fmt: skip
    print(f"{what:10}  {nats} nats per token, {bits} bits per byte")

# %% [markdown]
# The order is reversed.
#
# ## Two HellaSwags
#
# **Exercise: `best_ending`.** A multiple-choice benchmark asks which of four endings a model finds most likely. "Most
# likely" has several definitions, under one name: the same GPT-2 small has 29.55 by build-nanogpt's and 31.14 by
# lm-evaluation-harness's. Here are endings of stories; the grammar allows one of each four.

# %%
answered = experiment.ending_log_probs(model, 200)
question, log_probs = answered[0]
print("...", question["ctx"][-70:])
for number, (ending, each) in enumerate(zip(question["endings"], log_probs)):
    mark = "*" if number == question["label"] else " "
    print(f" {mark} {each.sum():7.2f}  {each.mean():6.3f}  {ending}")
for by in ("sum", "token", "character"):
    found = small_models.interval(stored[f"accuracy by {by}"])
    print(f"by {by:10} now {experiment.accuracy(answered, by):.3f}, over three seeds {found}")
differ = sum(
    len({lesson.best_ending(each, question["endings"], by) for by in ("sum", "token", "character")})
    > 1
    for question, each in answered
)
print(f"the definitions disagree on {differ} of {len(answered)} questions")

# %% [markdown]
# A guess is right in a quarter of the cases. The endings of a story have equally many tokens, so dividing by tokens
# changes nothing here; dividing by characters changes some answers, and the accuracy by less than three seeds can
# show. On HellaSwag, whose endings differ in length, GPT-2 small has 28.92 by the sum and 31.14 by characters.
#
# ## Takeaways
#
# - Know the floor: a loss below it comes from a mistake.
# - Compare runs over seeds, with an interval; state the number of seeds.
# - State the unit (per byte if tokenizers differ) and the definition of an accuracy.
# - The kit does the same: `gpt2-small evaluate`, `docs/evaluation.md`.
