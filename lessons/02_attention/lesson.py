"""Lesson 02, as a notebook in percent format; lesson.ipynb is generated from it."""

# %% [markdown]
# # 02 From averaging to attention
#
# The bigram model looks at one token. The simplest way to look further back is to average everything so far. You write
# that average three times, each time in another form, and the fourth form is attention.
#
# ```
# gpt2-small start my_attention.py --lesson attention
# gpt2-small watch my_attention.py
# ```
#
# This notebook runs on your file if `my_attention.py` lies beside it, and on the reference otherwise. The next cell
# loads your file and checks it: after a change to the file, run it again.

# %%
try:
    import gpt2_small
except ImportError:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "gpt2-small"], check=True)
    import gpt2_small

import math
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from gpt2_small.checker.exercise_sets import find_lesson

reference = find_lesson("attention").reference
mine = Path("my_attention.py")
lesson = gpt2_small.load(mine if mine.exists() else reference)
experiment = gpt2_small.load(reference.with_name("experiment.py"))
small_models = experiment.small_models
stored = small_models.stored("02_attention")
print(f"This notebook runs on {lesson.__file__}")
if mine.exists():
    gpt2_small.check(mine)

# %% [markdown]
# ## One computation, three forms
#
# **Exercises: `average_by_loop`, `average_by_matrix`, `average_by_softmax`.** The loop is the definition. A product
# with a triangular matrix computes all positions at once. A softmax of zeros and minus infinities gives that matrix,
# and it is one step from there to unequal weights.

# %%
values = torch.randn(2, 8, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
loop = lesson.average_by_loop(values)
for other in (lesson.average_by_matrix(values), lesson.average_by_softmax(values)):
    print(f"largest difference: {(loop - other).abs().max():.1e}")

# %% [markdown]
# ## Attention
#
# **Exercise: `attend`.** The scores are computed from the positions themselves: dot products of a query (what a
# position looks for) and keys (what the others offer). With queries of zeros all scores are equal, and attention is
# the average again.

# %%
generator = torch.Generator().manual_seed(1)
query, key = (torch.randn(2, 8, 4, dtype=torch.float64, generator=generator) for _ in range(2))
mean = lesson.attend(torch.zeros_like(query), key, values)
print(f"attention with equal scores, against the average: {(mean - loop).abs().max():.1e}")
eye = torch.eye(8, dtype=torch.float64).expand(2, 8, 8)
patterns = {"equal scores": lesson.attend(torch.zeros_like(query), key, eye)[0]}
patterns["queries and keys"] = lesson.attend(query, key, eye)[0]
figure, axes = plt.subplots(1, 2, figsize=(8, 3.5))
for axis, (title, pattern) in zip(axes, patterns.items()):
    image = axis.imshow(pattern, cmap="viridis", vmin=0, vmax=1)
    axis.set(title=title, xlabel="key", ylabel="query")
figure.colorbar(image, ax=axes, label="attention weight", shrink=0.8)
plt.show()

# %% [markdown]
# ## Why the mask
#
# A model that may look at the token it has to predict has nothing to learn. With the mask, the output at a position
# does not depend on anything after it: below, positions 4 to 7 are changed, and the outputs at 0 to 3 stay the same.

# %%
changed = values.clone()
changed[:, 4:] += 100
difference = (lesson.attend(query, key, changed) - lesson.attend(query, key, values)).abs()
print("change at each position:", [f"{each:.0f}" for each in difference.amax(dim=(0, 2))])

# %% [markdown]
# ## Why the scale
#
# The dot product of two vectors with entries of variance 1 has variance d_head. Unscaled, scores grow with the width of
# a head, the softmax saturates, and its gradient vanishes. Divided by sqrt(d_head) the scores keep variance 1 at any
# width.


# %%
def spread(d_head, seed, count=20_000):
    """Variance of scores without and with the scale, and the mean of the largest weight of 16."""
    generator = torch.Generator().manual_seed(seed)
    query, key = (torch.randn(count, 16, d_head, generator=generator) for _ in range(2))
    scores = (query[:, :1] * key).sum(dim=-1)
    scaled = scores / math.sqrt(d_head)
    largest = [each.softmax(dim=-1).amax(dim=-1).mean().item() for each in (scores, scaled)]
    return scores.var().item(), scaled.var().item(), *largest


print("d_head  variance  scaled  largest weight  scaled")
for d_head in (4, 16, 64):
    rows = torch.tensor([spread(d_head, seed, 2000) for seed in range(3)])
    mean, error = rows.mean(dim=0), rows.std(dim=0)
    print(f"{d_head:6}  {mean[0]:8.1f}  {mean[1]:6.2f}  {mean[2]:14.2f}  {mean[3]:6.2f}", end="")
    print(f"   (± {error[1]:.2f} over seeds)")

# %% [markdown]
# The cost of leaving the scale out depends on the model. Below are six layers of width 64 on tiny Shakespeare with and
# without it: dots are three seeds, bars the 95 % intervals of their means, measured when this lesson was written. On
# the stories of this kit the same edit is measured with the preset `stories` after 300 steps.

# %%
figure, axes = plt.subplots(figsize=(8, 1.8))
small_models.draw_intervals(axes, stored, "nats per character, held-out text of tiny Shakespeare")
plt.show()
for name, values in stored.items():
    print(f"{name:18} {small_models.interval(values)} nats per character")
right, without = experiment.on_the_stories()
print(
    f"stories: {min(right):.0f} to {max(right):.0f} % above the floor, {without:.0f} % without the scale"
)

# %% [markdown]
# On Shakespeare three seeds show no clear difference without the scale; on the stories the loss without it ends well
# above that of every correct model. Training can learn smaller queries by itself; the scale makes the start the same
# for every width.
#
# ## Takeaways
#
# - Attention is a weighted average of the past whose weights are computed from the positions themselves.
# - The mask makes all positions trainable at once; without it the task is empty.
# - In `solution.py` the same happens for twelve heads side by side: lesson 03 and the part `MultiHeadAttention`.
