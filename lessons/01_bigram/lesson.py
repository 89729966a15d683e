"""Lesson 01, as a notebook in percent format; lesson.ipynb is generated from it."""

# %% [markdown]
# # 01 Bigram
#
# The smallest language model looks at one token and predicts the next. You build it by counting and
# by gradient, and find that both give the same table. Its loss is the baseline of all lessons after this one.
#
# You write five functions in a file of your own, and the kit tells you after every save how each is doing:
#
# ```
# gpt2-small start my_bigram.py --lesson bigram
# gpt2-small watch my_bigram.py
# ```
#
# This notebook runs on your file if `my_bigram.py` lies beside it, and on the reference otherwise. The next cell
# loads your file and checks it: after a change to the file, run it again.

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

reference = find_lesson("bigram").reference
mine = Path("my_bigram.py")
bigram = gpt2_small.load(mine if mine.exists() else reference)
print(f"This notebook runs on {bigram.__file__}")
if mine.exists():
    gpt2_small.check(mine)

# %% [markdown]
# ## The text
#
# Tiny Shakespeare: 1.1 million characters of his plays. A token is a character here; the first nine tenths are for
# training.

# %%
text = (reference.parents[1] / "tiny_shakespeare.txt").read_text(encoding="utf-8")
characters = sorted(set(text))
d_vocab = len(characters)
tokens = torch.tensor([characters.index(character) for character in text])
border = len(tokens) * 9 // 10
train, held_out = tokens[:border], tokens[border:]
print(f"{len(text):,} characters, {d_vocab} different ones")

# %% [markdown]
# ## Counting
#
# Every pair of neighbours is counted once. **Exercise: `count_pairs`.** Look at the picture: which letter is almost
# always followed by `u`? What follows a line break?

# %%
counts = bigram.count_pairs(train, d_vocab)
shown = [{"\n": "↵", " ": "␣"}.get(character, character) for character in characters]
figure, axes = plt.subplots(figsize=(11, 10))
image = axes.imshow((counts + 1).log(), cmap="magma")
figure.colorbar(image, shrink=0.7, pad=0.02)
axes.set(
    xlabel="next character",
    ylabel="character",
    title="Count of each pair, plus one (natural logarithm)",
)
axes.set_xticks(range(d_vocab), shown, fontsize=7, family="monospace")
axes.set_yticks(range(d_vocab), shown, fontsize=7, family="monospace")
plt.show()

# %% [markdown]
# ## Probabilities, and the floor of counting
#
# **Exercises: `probabilities` and `mean_loss`.** With nothing added, the table of counts has the lowest loss of all
# bigram models on the text it was counted on. On other text an unseen pair has probability 0, so the loss is infinite.
# Adding one to every count costs little and avoids that.

# %%
floor = bigram.mean_loss(bigram.probabilities(counts, added=0), train)
print(f"training text, nothing added: {floor:.4f} nats")
print(
    f"held-out text, nothing added: {bigram.mean_loss(bigram.probabilities(counts, 0), held_out):.4f}"
)
for added in (0.01, 1, 100):
    table = bigram.probabilities(counts, added)
    print(f"held-out text, {added:g} added: {bigram.mean_loss(table, held_out):.4f} nats")
print(f"a guess, ln {d_vocab}: {torch.tensor(float(d_vocab)).log():.4f} nats")

# %% [markdown]
# ## Generating text
#
# **Exercise: `draw`.** The text has words of the right length, vowels between consonants, and no meaning: one
# character of context is not enough for more.

# %%
table = bigram.probabilities(counts)
drawn = bigram.draw(table, characters.index("\n"), 300, generator=torch.Generator().manual_seed(1))
print("".join(characters[token] for token in drawn))

# %% [markdown]
# ## The same by gradient
#
# **Exercise: `logits_loss`.** Forget the counts: start with a table of random logits and follow the gradient of the
# loss. Since the loss depends on the text only through its pairs, a step on all of it is cheap when equal pairs are
# grouped; the loss below is the same number.

# %%
pairs = counts.nonzero()
weight = counts[pairs[:, 0], pairs[:, 1]].double() / counts.sum()


def loss_of(logits):
    """`logits_loss` on the training text, equal pairs grouped."""
    return -(weight * logits.log_softmax(dim=1)[pairs[:, 0], pairs[:, 1]]).sum()


def train_by_gradient(seed, steps=400):
    """The loss after every step."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(
        d_vocab, d_vocab, generator=generator, dtype=torch.float64
    ).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.3)
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / steps)
        loss = loss_of(logits)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, logits.detach()


runs = {seed: train_by_gradient(seed) for seed in range(3)}
logits = runs[0][1]
print(f"grouped {loss_of(logits):.6f}, by logits_loss {bigram.logits_loss(logits, train):.6f}")
for seed, (losses, _) in runs.items():
    print(f"seed {seed}: {losses[-1] - floor:+.4f} nats from the floor of counting")
plt.figure(figsize=(8, 3))
for seed, (losses, _) in runs.items():
    plt.plot(losses, label=f"by gradient, seed {seed}")
plt.axhline(float(floor), color="black", linestyle=":", label="by counting")
plt.xlabel("step")
plt.ylabel("nats per character")
plt.ylim(2.4, 3.2)
plt.legend()
plt.show()

# %% [markdown]
# ## Takeaways
#
# - A language model is a distribution of the next token, and its loss is the mean surprise in nats.
# - The best table can be counted; gradient descent finds the same one, from any seed, to a few thousandths of a nat.
# - No bigram model can do better, and the text is still nonsense: it lacks context. Lesson 02 lets every
#   position look back.
