"""Lesson 05, as a notebook in percent format; lesson.ipynb is generated from it."""

# %% [markdown]
# # 05 Variants
#
# GPT-2 is one of many transformers. Here you write the components of others, change one thing at a time in a small
# GPT-2, train it on tiny Shakespeare, and measure the effect at this size.
#
# ```
# gpt2-small start my_variants.py --lesson variants
# gpt2-small watch my_variants.py
# ```
#
# This notebook runs on your file if `my_variants.py` lies beside it, and on the reference otherwise. The next cell
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

import difflib
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from gpt2_small.checker.exercise_sets import find_lesson

reference = find_lesson("variants").reference
mine = Path("my_variants.py")
lesson = gpt2_small.load(mine if mine.exists() else reference)
experiment = gpt2_small.load(reference.with_name("experiment.py"))
small_models = experiment.small_models
print(f"This notebook runs on {lesson.__file__}")
if mine.exists():
    gpt2_small.check(mine)

# %% [markdown]
# ## A variant is a file
#
# Flags in a model's code make its computation hard to see. Here a variant is the reference with named edits, a file
# that you can read: `gpt2-small variant --with mlp-relu --out v.py` writes one, and `gpt2-small check v.py --as
# mlp-relu` proves that a file is that variant. These are the lines that change for one with norms after the sums and
# ReLU.

# %%
from gpt2_small.checker.variants import variant_text

original = experiment.binding.reference_path().read_text(encoding="utf-8").splitlines()
changed = variant_text(("block-post-norm", "mlp-relu")).splitlines()
print("\n".join(line for line in difflib.unified_diff(original, changed, lineterm="", n=0)))

# %% [markdown]
# ## Positions: sines and cosines
#
# **Exercise: `sinusoids`.** The first transformer learns no vectors for its positions. Each pair of features is the
# sine and the cosine of the position times a frequency of its own, so the dot product of two positions depends only on
# their distance.

# %%
waves = lesson.sinusoids(64, 64)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
figure.colorbar(left.imshow(waves, cmap="RdBu", aspect="auto"), ax=left)
left.set(xlabel="feature", ylabel="position", title="sinusoids")
figure.colorbar(right.imshow(waves @ waves.T, cmap="magma"), ax=right)
right.set(xlabel="position", ylabel="position", title="their dot products")
plt.show()

# %% [markdown]
# ## Positions: rotary
#
# **Exercise: `rotary`.** Instead of adding a vector to the stream, rotate queries and keys by an angle that grows with
# the position. The score of a query and a key then depends on position only through their distance, in every layer.
# Below, one query and one key are compared at all pairs of positions.

# %%
generator = torch.Generator().manual_seed(3)
query = torch.randn(16, generator=generator)
turned = lesson.rotary(query.expand(1, 64, 1, 16))[0, :, 0]
scores = turned @ turned.T / 4
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
figure.colorbar(left.imshow(scores, cmap="magma"), ax=left)
left.set(xlabel="key's position", ylabel="query's position", title="scores of equal vectors")
for position, width in ((20, 7), (40, 4), (60, 1.5)):
    curve = scores[position, : position + 1].flip(0)
    right.plot(range(position + 1), curve, linewidth=width, label=f"{position}")
right.set(xlabel="distance", ylabel="score", title="the same curve from each position")
right.legend(title="query's position")
plt.show()

# %% [markdown]
# Your functions equal the variants' own.

# %%
in_file = experiment.module_of("sinusoids").sinusoids(64, 64)
print(f"sinusoids: largest difference {(in_file - waves).abs().max():.1e}")
vectors = torch.randn(2, 10, 4, 16, generator=generator)
difference = experiment.module_of("rotary").rotated(vectors) - lesson.rotary(vectors)
print(f"rotary: largest difference {difference.abs().max():.1e}")

# %% [markdown]
# ## Activations
#
# **Exercise: `gelu`.** GPT-2's activation is smooth and dips below zero. Its tanh form and the exact one differ by less
# than a thousandth.

# %%
x = torch.linspace(-4, 4, 401)
tanh_form, exact = lesson.gelu(x), torch.nn.functional.gelu(x)
plt.figure(figsize=(7, 3))
plt.plot(x, tanh_form, label="GELU, tanh form")
plt.plot(x, x.relu(), label="ReLU", linestyle="--")
plt.plot(x, 100 * (tanh_form - exact), label="100 × (tanh form − exact form)")
plt.xlabel("input")
plt.ylabel("output")
plt.legend()
plt.show()
print(f"tanh form and exact form differ by at most {(tanh_form - exact).abs().max():.5f}")

# %% [markdown]
# ## Norms
#
# **Exercises: `rms_norm`, `post_norm_block`.** A norm without centring is cheaper, and has no bias. The place of the
# norms matters more: after the sums, as in the first transformer, every block rescales the whole stream. Below is the
# size of the gradient that each layer's MLP gets before the first step, in a model of eight layers. Xiong et al.
# (2020, "On Layer Normalization in the Transformer Architecture") find that with norms after the sums the last layers'
# gradient is the largest, and that such models therefore need a warm-up. With GPT-2's small weights this does not
# appear here: both lines are flat. But the gradient is far smaller with norms after the sums.

# %%
plt.figure(figsize=(7, 3))
for color, name in enumerate(("GPT-2", "norms after")):
    sizes = torch.tensor([experiment.gradient_sizes(name, seed) for seed in range(3)])
    plt.plot(sizes.mean(dim=0), color=f"C{color}", marker="o", label=name)
    plt.fill_between(range(8), sizes.amin(dim=0), sizes.amax(dim=0), color=f"C{color}", alpha=0.3)
    ratios = ", ".join(f"{ratio:.2f}" for ratio in sizes[:, -1] / sizes[:, 0])
    print(f"{name:12} mean {sizes.mean():.3f}, last layer over first, for each seed: {ratios}")
plt.xlabel("layer")
plt.ylabel("norm of W_out's gradient")
plt.yscale("log")
ticks = [0.02, 0.05, 0.1, 0.2, 0.5]
plt.yticks(ticks, [str(tick) for tick in ticks])
plt.minorticks_off()
plt.legend()
plt.show()

# %% [markdown]
# ## Training each
#
# Two layers of width 64 that see 32 characters, 300 steps, one seed. Each differs from GPT-2 by its edits and by
# nothing else, the learning rate included: a variant that needs another rate is at a disadvantage here.

# %%
curves, held_out = {}, {}
for name in experiment.VARIANTS:
    curves[name], held_out[name], _ = experiment.train(name, seed=0, is_shown=True)

# %% [markdown]
# On the left, these trainings. On the right, three seeds of each, stored beside this lesson: the held-out loss less
# that of GPT-2 with the same seed and windows. Dots are seeds, bars the 95 % intervals of their means. Where a bar
# contains zero, the difference is not significant.

# %%
differences = experiment.differences(small_models.stored("05_variants"))
figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5))
for number, (name, losses) in enumerate(curves.items()):
    style = "black" if name == "GPT-2" else f"C{number - 1}"
    dashes = "--" if name == "no residual" else "-"
    left.plot(small_models.smoothed(losses, 30), color=style, linestyle=dashes, label=name)
left.set(xlabel="step", ylabel="nats per character, training text", ylim=(1.9, 3.6))
left.legend(fontsize=8, ncol=4, loc="lower center")
small_models.draw_intervals(right, differences, "nats per character above GPT-2, held-out text")
right.axvline(0, color="black", linestyle=":")
figure.tight_layout()
plt.show()
zero = small_models.Interval(0, 0)
for name, values in differences.items():
    found = small_models.interval(values)
    verdict = "better" if found.is_below(zero) else "worse" if zero.is_below(found) else "no claim"
    print(f"{name:14} {found}   here {held_out[name] - held_out['GPT-2']:+.3f}   {verdict}")
print(f"The characters' own frequencies give {experiment.frequency_loss():.3f} nats.")

# %% [markdown]
# Results of three seeds at this size:
#
# - Models with sinusoids and otherwise unchanged embeddings learn only the characters' frequencies: the waves are many
#   times as large as the token embeddings, which GPT-2 draws with a standard deviation of 0.02. With embeddings times
#   sqrt(d_model), as their paper has it (section 3.4), they learn, and still end above learned positions here.
# - Without residual sums, two layers learn only the frequencies.
# - With norms after the sums, some seeds learn only the frequencies and others more: at this rate and with so short a
#   warm-up the start depends on chance, which agrees with Xiong et al. The difference of the means is not significant.
# - Rotary positions end with a lower loss than learned ones.
# - Models without positions, with ReLU, with RMS norm and with larger token embeddings show no significant difference:
#   their bars contain zero. Larger causal models can learn without positions, too (Haviv et al. 2022, "Transformer
#   Language Models without Positional Encodings Still Learn Positional Information").
