"""Lesson 03, as a notebook in percent format; lesson.ipynb is generated from it."""

# %% [markdown]
# # 03 From one head to GPT
#
# Lesson 02 ended with attention. Here it becomes a language model, one stage at a time: one head, four heads, an MLP,
# residual sums, norms, four blocks. Every stage is trained on tiny Shakespeare, and its held-out loss shows how much
# the stage improves the model. You write GPT-2 as five functions of its weights:
#
# ```
# gpt2-small start my_gpt.py --lesson gpt
# gpt2-small watch my_gpt.py
# ```
#
# This notebook runs on your file if `my_gpt.py` lies beside it, and on the reference otherwise. The next cell
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

reference = find_lesson("gpt").reference
mine = Path("my_gpt.py")
lesson = gpt2_small.load(mine if mine.exists() else reference)
experiment = gpt2_small.load(reference.with_name("experiment.py"))
small_models = experiment.small_models
print(f"This notebook runs on {lesson.__file__}")
if mine.exists():
    gpt2_small.check(mine)

# %% [markdown]
# ## The baseline
#
# The best bigram table of the training text, with one added to every count, is the baseline: a model that uses more
# than one character should end below it.

# %%
text = small_models.tiny_shakespeare()
d_vocab = len(text.letters)
pairs = text.train[:-1] * d_vocab + text.train[1:]
counts = torch.bincount(pairs, minlength=d_vocab**2).view(d_vocab, d_vocab).double() + 1
table = (counts / counts.sum(dim=1, keepdim=True)).log()
bigram = -table[text.held_out[:-1], text.held_out[1:]].mean().item()
print(f"bigram, counted: {bigram:.4f} nats per character on the held-out text")
curves, held_out = {}, {}


def train_stage(name):
    """Train a stage with one seed, and compare it with the baseline."""
    curves[name], held_out[name], model = experiment.train_stage(
        lesson, name, seed=0, is_shown=True
    )
    print(f"held-out text: {held_out[name]:.3f}, bigram {bigram:.3f}")
    return model


# %% [markdown]
# ## One head
#
# **Exercise: `head`.** Queries, keys and values are three linear maps of the same positions; the rest is lesson 02. The
# model embeds tokens and positions, applies the head, and turns its output into logits by the transposed table of
# tokens.

# %%
one_head = train_stage("one head")

# %% [markdown]
# What does the head look at? Each row is a query's position, and the brightness of a column is the share of its
# attention on the key there. The order of tokens matters: a head can prefer the previous character.

# %%
line = "First Citizen:\nBefore we proceed any further,"
ids = torch.tensor([text.encode(line)])
weights = dict(one_head.weights.named_parameters())
residual = weights["embed.W_E"][ids] + weights["pos_embed.W_pos"][: len(line)]
attn = lesson.under(weights, "blocks.0.attn.")
eye = torch.eye(len(line))[None]


def pattern_of(residual, W_Q, W_K):
    """The pattern of a head: what it makes of values that say where they stand."""
    query, key = residual @ W_Q, residual @ W_K
    return torch.nn.functional.scaled_dot_product_attention(query, key, eye, is_causal=True)[0]


def letters(axis):
    """Write the line's characters along both axes."""
    shown = [{"\n": "↵", " ": "␣"}.get(letter, letter) for letter in line]
    axis.set_xticks(range(len(line)), shown, fontsize=8, family="monospace")
    axis.set_yticks(range(len(line)), shown, fontsize=8, family="monospace")


figure, axis = plt.subplots(figsize=(9, 8))
image = axis.imshow(pattern_of(residual, attn["W_Q"][0], attn["W_K"][0]).detach(), cmap="magma")
figure.colorbar(image, label="attention weight", shrink=0.7)
axis.set(title="One head's pattern", xlabel="key", ylabel="query")
letters(axis)
plt.show()

# %% [markdown]
# ## Four heads
#
# **Exercise: `multi_head`.** One head has one pattern; four narrower heads have four, with the same number of weights.
# Each head's output is projected back to the width of the model, and the projections are added.

# %%
train_stage("four heads")

# %% [markdown]
# ## An MLP
#
# **Exercise: `mlp`.** Attention only mixes the positions' vectors. The MLP computes with each of them separately.

# %%
train_stage("four heads, MLP")

# %% [markdown]
# ## Residual sums
#
# So far every part replaced its input: the logits depend on the token at a position only if a head looks at it. Now
# each part adds its output to a residual stream, which keeps the input.

# %%
train_stage("... with sums")

# %% [markdown]
# ## Norms: a block
#
# **Exercise: `block`.** Before each part, and at the end, the stream is normalised, so that a part's input has the
# same scale whatever was added before.

# %%
train_stage("... and norms")

# %% [markdown]
# ## Four blocks: GPT-2
#
# **Exercise: `gpt`.** Four blocks after each other, between the embeddings and the logits that every stage had: that
# is GPT-2, in the shape of the kit's preset `shakespeare-cpu`. Your function computes the same logits as `Transformer`
# of `solution.py` with the same weights, so the last stage is trained as that model, through its fast twin.

# %%
model = train_stage(experiment.FOUR_BLOCKS)
with torch.no_grad():
    ours = lesson.gpt(ids, dict(model.state_dict()), len(model.blocks))
    theirs = model.eval()(ids)
print(f"largest difference of the logits: {(ours - theirs).abs().max():.1e}")

# %% [markdown]
# The patterns of all its heads, layer by layer. Some look at the character before, some far back, some at one kind of
# character.

# %%
_, cache = gpt2_small.run_with_cache(model, ids)
figure, axes = plt.subplots(len(model.blocks), 4, figsize=(9, 9), sharex=True, sharey=True)
for layer, row in enumerate(axes):
    for head, axis in enumerate(row):
        axis.imshow(cache[f"blocks.{layer}.attn.hook_pattern"][0, head], cmap="magma")
        axis.set_title(f"layer {layer}, head {head}", fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
figure.supxlabel("key")
figure.supylabel("query")
figure.tight_layout()
plt.show()

# %% [markdown]
# ## All stages
#
# On the left, the trainings of this notebook, with one seed. On the right, the same with three seeds, stored beside
# this lesson: dots are seeds, bars the 95 % intervals of their means. Where two bars overlap, this lesson claims no
# difference.

# %%
stored = small_models.stored("03_gpt")
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5))
for name, losses in curves.items():
    left.plot(small_models.smoothed(losses, 50), label=name)
left.axhline(bigram, color="black", linestyle=":", label="bigram, counted")
left.set(xlabel="step", ylabel="nats per character, training text", ylim=(1.7, 3.4))
left.legend(fontsize=8)
small_models.draw_intervals(right, stored, "nats per character, held-out text")
right.axvline(bigram, color="black", linestyle=":")
figure.tight_layout()
plt.show()
for name, values in stored.items():
    here = f"here {held_out[name]:.3f}" if name in held_out else ""
    print(f"{name:27} {small_models.interval(values)}   {here}")

# %% [markdown]
# Results of three seeds, after 500 steps and after the preset's 2,000:
#
# - Without sums, one head is no better than counting pairs. It sees 64 characters, but the logits depend on the
#   character at a position only through it. Four heads and the MLP show no clear effect here: the bars overlap.
# - Residual sums and norms are the two large steps.
# - Four blocks learn more slowly than one: after 500 steps they are behind. So short a training does not profit from
#   depth.
# - After all 2,000 steps one block alone is well below 1.88, the loss that nanoGPT's README ("quick start") gives for
#   four blocks of this width and as many steps, at a lower learning rate.
#
# `gpt2-small train --preset shakespeare-cpu --data input.txt --out run` trains the whole run, with checkpoints.
#
# ## Generating text
#
# A text of the last stage, generated by the kit's `generate`.

# %%
start = torch.tensor([text.encode("\n")])
drawn = gpt2_small.generate(
    model, start, 400, temperature=0.8, generator=torch.Generator().manual_seed(1)
)
print(text.decode(drawn[0]))
