"""Lesson 04, as a notebook in percent format; lesson.ipynb is generated from it."""

# %% [markdown]
# # 04 Tokenization
#
# A model reads ids, and the tokenizer decides what it can see of a text. You write the byte-pair encoder of GPT-2 in
# five functions, compare it with the usual libraries, look at what GPT-2's own table does to numbers, capitals and
# other scripts, and train small models to measure the cost.
#
# ```
# gpt2-small start my_bpe.py --lesson tokenization
# gpt2-small watch my_bpe.py
# ```
#
# This notebook runs on your file if `my_bpe.py` lies beside it, and on the reference otherwise. The next cell
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

from gpt2_small.checker.exercise_sets import find_lesson

reference = find_lesson("tokenization").reference
mine = Path("my_bpe.py")
bpe = gpt2_small.load(mine if mine.exists() else reference)
experiment = gpt2_small.load(reference.with_name("experiment.py"))
experiment.lesson = bpe
small_models = experiment.small_models
stored = small_models.stored("04_tokenization")
print(f"This notebook runs on {bpe.__file__}")
if mine.exists():
    gpt2_small.check(mine)

# %% [markdown]
# ## Bytes and words
#
# Every text is bytes in UTF-8, so 256 ids are enough for all of them. Byte-pair encoding repeatedly adds an id for the
# most frequent pair of neighbours. GPT-2 first splits the text into words, so that no id spans two of them.

# %%
print(bpe.PATTERN.findall("It's 2026:  naïve café, 東京!"))
print(list("é東🙂".encode()))

# %% [markdown]
# ## Counting, merging, training
#
# **Exercises: `count_pairs`, `merge`, `train_bpe`.** On the first 50,000 characters of tiny Shakespeare, the first
# merges are frequent pairs of English letters.

# %%
text = (reference.parents[1] / "tiny_shakespeare.txt").read_text(encoding="utf-8")[:50_000]
merges = bpe.train_bpe(text, 400)
names = {byte: bytes([byte]) for byte in range(256)}
for number, (left, right) in enumerate(merges):
    names[256 + number] = names[left] + names[right]
print([names[256 + number].decode(errors="replace") for number in range(24)])

# %% [markdown]
# ## The oracle
#
# The `tokenizers` library learns the same merges, as long as no two pairs occur equally often: it numbers the bytes in
# another order, and so breaks ties differently.

# %%
from collections import Counter

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

learner = Tokenizer(models.BPE())
learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
alphabet = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
learner.train_from_iterator([text], trainer)
theirs = [learner.id_to_token(256 + number).replace("Ġ", " ") for number in range(len(merges))]
ours = [names[256 + number].decode(errors="replace") for number in range(len(merges))]
same = next((n for n, (a, b) in enumerate(zip(ours, theirs)) if a != b), len(ours))
print(f"The first {same} of {len(merges)} merges are the same.")
if same < len(merges):
    words = bpe.words_of(text)
    for number, pair in enumerate(merges[:same]):
        merged = Counter()
        for word, count in words.items():
            merged[bpe.merge(word, pair, 256 + number)] += count
        words = merged
    counts = bpe.count_pairs(words)
    print(f"Then ours takes {ours[same]!r} and theirs {theirs[same]!r}: a tie, both occur", end=" ")
    print(f"{counts[merges[same]]} times.")

# %% [markdown]
# ## Encoding and decoding
#
# **Exercises: `encode`, `decode`.** With the same ranks, `tiktoken` gives the same ids. More ids make a text shorter;
# each of them is harder to predict, which is why losses of different tokenizers are compared per byte.

# %%
import tiktoken

ranks = {name: id for id, name in names.items()}
engine = tiktoken.Encoding(
    "lesson", pat_str=bpe.PATTERN.pattern, mergeable_ranks=ranks, special_tokens={}
)
sample = text[20_000:22_000] + " naïve café, 東京 🙂"
assert bpe.encode(sample, merges) == engine.encode_ordinary(sample)
assert bpe.decode(bpe.encode(sample, merges), merges) == sample
sizes = [256, 280, 300, 330, 360, 400]
lengths = [len(bpe.encode(sample, merges[: size - 256])) for size in sizes]
plt.figure(figsize=(7, 3))
plt.plot(sizes, [len(sample.encode()) / length for length in lengths], marker="o")
plt.xlabel("number of ids")
plt.ylabel("bytes per token")
plt.show()

# %% [markdown]
# ## GPT-2's own table
#
# 50,000 merges learned on web pages. Many errors of a model come from its tokenizer. Digits are grouped irregularly:
# digits of equal place value do not line up in a sum. A capital letter gives other tokens, and so does the beginning
# of a text, where no space precedes the word.

# %%
from gpt2_small.tokenizers.registry import make_tokenizer

gpt2 = make_tokenizer("gpt2")


def pieces(text):
    """The text of every token."""
    return [gpt2.decode([id]) for id in gpt2.encode(text)]


for text_shown in ("1275+6773", "egg", " egg", "Egg", " Egg", "EGG"):
    print(f"{text_shown!r:14} {pieces(text_shown)}")
for digits in range(1, 5):
    numbers = [str(number) for number in range(10 ** (digits - 1), 10**digits)]
    alone = sum(len(gpt2.encode(number)) == 1 for number in numbers)
    print(f"{alone:4} of {len(numbers):4} numbers of {digits} digits are one token")

# %% [markdown]
# A space belongs to the word after it. A prompt that ends in a space therefore ends in a token that hardly ever
# precedes a word: the model has rarely seen a text cut there.

# %%
for text_shown in ("hello world", "hello ", "hello  world"):
    print(f"{text_shown!r:14} {pieces(text_shown)}")

# %% [markdown]
# A script that was rare on those pages is split into bytes, so a context of the same number of tokens contains less
# text.

# %%
english = "The quick brown fox jumps over the lazy dog."
korean = "빠른 갈색 여우가 게으른 개를 뛰어넘는다."
for sentence in (english, korean):
    per_token = len(sentence.encode()) / len(gpt2.encode(sentence))
    print(f"{per_token:.2f} bytes per token: {sentence}")

# %% [markdown]
# The name of a forum user is a token, since it was frequent in the tokenizer's text. It was rare in the text that the
# models were trained on, and they answered to it erratically (Rumbelow and Watkins 2023, "SolidGoldMagikarp"). And
# `<|endoftext|>` is a token of its own, 50256, that separates documents. What a user types must never become it: this
# kit encodes the name as its characters.

# %%
print(pieces(" SolidGoldMagikarp"), gpt2.encode(" SolidGoldMagikarp"))
print(gpt2.encode("<|endoftext|>"), "is not", [gpt2.end_of_text])

# %% [markdown]
# ## The cost: sums
#
# Two equal models learn to add two numbers below 100 from 9,000 of the 10,000 sums. One reads characters; the other
# reads byte pairs learned from the sums, in which some numbers are one token and others two. An answer counts if all
# of it is right; the 1,000 sums were held out.

# %%
merges_of_sums = experiment.sum_merges()
for question, answer in experiment.sums()[:3]:
    ids = bpe.encode(question + answer, merges_of_sums)
    print([bpe.decode([id], merges_of_sums) for id in ids])

seed, now = 0, {}
for ids in (0, experiment.SUM_IDS):
    name = f"adding, {experiment.tokens_of(ids)}"
    task = experiment.addition(ids)
    model, losses = experiment.trained(task, seed, steps=experiment.SUM_STEPS, name=name)
    now[name] = experiment.accuracy(model, task.held_out)

# %% [markdown]
# ## The cost: letters
#
# The next models read a word of Shakespeare, and write its letters from the last to the first. The answer is in
# letters for all of them; the word is read letter by letter, or as the tokens of a byte-pair tokenizer. An id does not
# reveal the letters of its token: they must be learned for each token separately, and the held-out words have tokens
# that were rare or missing in the training words.

# %%
for ids in (0, experiment.WORD_IDS[-1]):
    name = f"reversing, {experiment.tokens_of(ids)}"
    task = experiment.letters_of_words(ids, is_reversed=True)
    model, losses = experiment.trained(task, seed, steps=experiment.WORD_STEPS, name=name)
    now[name] = experiment.accuracy(model, task.held_out)

# %% [markdown]
# The dots are three seeds, the bars their 95 % intervals, measured when this lesson was written; this run is the
# cross. Characters add better than byte pairs with every seed, though how much better depends on the seed. The more
# ids a tokenizer has, the fewer words come out right, also when a word is spelled forwards.

# %%
figure, axes = plt.subplots(figsize=(8, 3.2))
small_models.draw_intervals(axes, stored, "share of held-out answers that are right")
axes.plot(now.values(), [list(stored).index(name) for name in now], "kx")
axes.set_xlim(0, 1.02)
plt.show()
for name, values in stored.items():
    run = f"now {now[name]:.3f}, " if name in now else ""
    print(f"{name:24} {run}over three seeds {small_models.interval(values)}")

# %% [markdown]
# ## Takeaways
#
# - A tokenizer is learned before the model, by counting, and decides what the model can distinguish.
# - Merges are applied in the order in which they were learned, inside words only.
# - Implementations agree except where two pairs occur equally often: a tokenizer has to state its rule for ties.
# - Digits in irregular tokens, and letters hidden inside a token, have to be learned token by token.
