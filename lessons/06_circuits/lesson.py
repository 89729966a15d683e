"""Lesson 06, as a notebook in percent format; lesson.ipynb is generated from it."""

# %% [markdown]
# # 06 Circuits
#
# What happens inside a trained model? You write four tools of interpretability (reading all activations, patching one,
# decoding the residual stream, scoring heads), train a model in which a circuit forms while you watch, and analyse it:
# an induction circuit, which continues a word that it has seen once before.
#
# ```
# gpt2-small start my_circuits.py --lesson circuits
# gpt2-small watch my_circuits.py
# ```
#
# This notebook runs on your file if `my_circuits.py` lies beside it, and on the reference otherwise. The next cell
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

reference = find_lesson("circuits").reference
mine = Path("my_circuits.py")
lesson = gpt2_small.load(mine if mine.exists() else reference)
experiment = gpt2_small.load(reference.with_name("experiment.py"))
experiment.lesson = lesson
small_models = experiment.small_models
stored = small_models.stored("06_circuits")
print(f"This notebook runs on {lesson.__file__}")
if mine.exists():
    gpt2_small.check(mine)

# %% [markdown]
# ## A predictable text
#
# A text repeats one word of 5 to 14 random tokens. The first time every token is a surprise. After that the next token
# is certain: find the current token in the past, and take the one after it. The length of the word differs from text
# to text, so counting back a fixed number of places does not help.

# %%
tokens, is_known = experiment.repeated_words(6, torch.Generator().manual_seed(3))
letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
for row, known in zip(tokens, is_known):
    text = "".join(letters[token] for token in row)
    print(text, " known:", "".join("x" if each else "." for each in [False, *known.tolist()]))

# %% [markdown]
# ## Two layers, and one
#
# Two models learn it, equal but for the number of layers. Watch the accuracy on the predictable tokens. The dots are
# this run; the bars are 95 % intervals over three seeds, measured when this lesson was written.

# %%
seed = 0
two, curve = experiment.trained(2, seed, name="two layers")
one, control = experiment.trained(1, seed, name="one layer")
figure, axes = plt.subplots(figsize=(8, 3.5))
for name, points, color in (("two layers", curve, "C0"), ("one layer", control, "C1")):
    axes.plot(list(points), list(points.values()), ".-", color=color, label=name)
    for step in (50, 100, 150, 200, 300):
        found = small_models.interval(stored[f"{name}, step {step}"])
        axes.errorbar(step, found.mean, found.half, color=color, capsize=4, alpha=0.5)
    print(f"{name:10} now {experiment.accuracy(two if color == 'C0' else one):.3f}", end=", ")
    print(f"over three seeds {small_models.interval(stored[name])}")
axes.set(xlabel="step", ylabel="accuracy where known", ylim=(0, 1.02))
axes.legend(loc="center right")
plt.show()

# %% [markdown]
# ## Reading everything
#
# **Exercise: `run_with_cache`.** Every activation has a name, TransformerLens's. Below are the patterns of two heads
# for one text: a row is a query, and a column a key.

# %%
tokens, is_known = experiment.repeated_words(64, torch.Generator().manual_seed(5))
tokens = tokens[:, :-1]
with torch.no_grad():
    logits, cache = lesson.run_with_cache(two, tokens)
print(len(cache), "activations, for instance", *list(cache)[4:8])
patterns = [cache[f"blocks.{layer}.attn.hook_pattern"] for layer in (0, 1)]
before = patterns[0].diagonal(offset=-1, dim1=2, dim2=3).mean(dim=(0, 2))
scores = lesson.induction_scores(patterns[1], tokens)
figure, axes = plt.subplots(1, 2, figsize=(11.5, 4.5))
for axis, pattern, head, what in (
    (axes[0], patterns[0], int(before.argmax()), "layer 0: the token before"),
    (axes[1], patterns[1], int(scores.argmax()), "layer 1: what followed"),
):
    image = axis.imshow(pattern[0, head], cmap="magma", vmin=0, vmax=1)
    axis.set(title=f"{what} (head {head})", xlabel="key", ylabel="query")
figure.colorbar(image, ax=axes, label="attention weight", shrink=0.8)
plt.show()

# %% [markdown]
# ## Scoring heads
#
# **Exercise: `induction_scores`.** The score is the share of its attention that a head pays to the tokens after
# earlier copies of its token. A head that looks everywhere evenly has about 0.09 here.

# %%
measured = experiment.attention_scores(two)
for name, value in measured.items():
    print(f"{name:40} now {value:.3f}, over three seeds {small_models.interval(stored[name])}")

# %% [markdown]
# Layer 0 has a head that looks at the previous token, layer 1 one that looks at the token after the earlier copy. But
# a pattern shows where a head looks, not its effect. Whether these layers continue the word is tested by removing
# them.
#
# ## Ablation
#
# `hooks` of this kit replaces activations while the model runs. How accurate is the model when a layer's attention
# outputs zeros?

# %%
parts = {
    "two layers": (),
    "without the attention of layer 0": ("blocks.0.hook_attn_out",),
    "without the attention of layer 1": ("blocks.1.hook_attn_out",),
    "without the MLPs": ("blocks.0.hook_mlp_out", "blocks.1.hook_mlp_out"),
}
for name, removed in parts.items():
    print(f"{name:34} {experiment.accuracy(two, removed):.3f}")
names = [*parts, "one layer"]
figure, axes = plt.subplots(figsize=(8, 2.6))
small_models.draw_intervals(axes, {name: stored[name] for name in names}, "accuracy where known")
plt.show()

# %% [markdown]
# ## Patching
#
# **Exercises: `patched_logits`, `patching_map`.** The text is a word of 14 tokens and the beginning of the same word
# again, up to a token `a`; the model has to predict what followed `a` in the word. In the corrupted text the first `a`
# is another token, so the answer cannot be known. Now put one residual stream of the clean run into the corrupted one,
# for every layer and position: where is the information?

# %%
shares = experiment.path(two)
figure, axes = plt.subplots(figsize=(9, 2.2))
image = axes.imshow(shares, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
figure.colorbar(image, label="share brought back")
axes.set(xlabel="position (the line: where the word begins again)", ylabel="before layer")
axes.set(yticks=[0, 1], xticks=range(0, shares.shape[1], 2))
axes.axvline(13.5, color="black", linewidth=0.5)
plt.show()
for where in ("layer 0, at the token", "layer 1, at the token", "layer 1, at the one after"):
    print(f"{where:28} {small_models.interval(stored['brought back, ' + where])}")

# %% [markdown]
# Before layer 0 it is at the position of the first `a`. Before layer 1 it is one position later: the first layer has
# written into each position which token precedes it, and the second layer's query for `a` matches that. One layer
# cannot do both, and the model with one layer falls short.
#
# ## The logit lens
#
# **Exercise: `logit_lens`.** Decode the residual stream before the first block and after each, as if the model ended
# there. When does the answer appear?

# %%
with torch.no_grad():
    lens = lesson.logit_lens(two, cache)
text = "".join(letters[token] for token in tokens[0])
right = tokens[0, 1:]
chance = lens[:, 0, :-1].softmax(dim=-1)
chance = chance.gather(2, right.expand(3, -1)[:, :, None])[:, :, 0]
figure, axes = plt.subplots(figsize=(10, 2))
image = axes.imshow(chance, cmap="viridis", vmin=0, vmax=1, aspect="auto")
figure.colorbar(image)
axes.set_xticks(range(len(right)), text[1:])
axes.set(yticks=[0, 1, 2], ylabel="after layers", title="probability of the token that comes next")
plt.show()
for layers in range(3):
    print(
        f"after {layers} layers: {small_models.interval(stored[f'logit lens after {layers} layers'])}"
    )

# %% [markdown]
# ## Takeaways
#
# - Activations can be read and replaced by name; a claim about a circuit needs an experiment that breaks it, with a
#   control (here one layer).
# - An induction circuit takes two layers: one that writes each position's previous token into it, and one that looks
#   for its own token there.
# - In a bigger model the same tools work, with `gpt2_small.load_pretrained("gpt2")`: but a head that scores high on a
#   pattern may do something else, and a part whose removal hurts may only be a part.
