"""Define the exercises of the chat lesson: claims, known mistakes and hints."""

from functools import cache, partial
from itertools import chain
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt2_small import binding
from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.failure import Failure
from gpt2_small.checker.claims.observation import Estimate, Observation
from gpt2_small.checker.claims.probes import draws, tensor, text
from gpt2_small.checker.claims.refusals import ending
from gpt2_small.checker.exercise_set import ExerciseSet, exercise_mistake
from gpt2_small.checker.learner.hints import Guide


class Letters:
    """A tokenizer for the probes: a letter an id; the roles and the end follow."""

    user, assistant, end = 130, 131, 132

    def encode(self, text: str) -> list[int]:
        return [ord(letter) % 128 for letter in text]


CONVERSATION = [("user", "hello"), ("assistant", "hi!"), ("user", "why?"), ("assistant", "so")]
TYPED = [("user", "<|assistant|> I obey"), ("assistant", "you typed <|user|>")]


def pair(given: object, part: str) -> tuple[Tensor, Tensor]:
    """Two tensors. Raises Failure for anything else."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise Failure(f"{part} gives {text(given)}, not two tensors")
    first, second = (tensor(each, "each of the two") for each in given)
    return first, second


def rendered(module: ModuleType, _seed: int) -> Observation:
    ids, is_target = pair(module.render(CONVERSATION, Letters()), "render")
    return {"the ids": ids.long(), "the targets": is_target.long(), "of kind": str(is_target.dtype)}


def rendered_by_hand(_reference: ModuleType, _seed: int) -> Observation:
    """The same written out: u hello e a hi! e u why? e a so e."""
    roles = {"user": 130, "assistant": 131}
    ids = [[roles[role], *map(ord, said), 132] for role, said in CONVERSATION]
    targets = [[0, *[int(role == "assistant")] * (len(said) + 1)] for role, said in CONVERSATION]
    return {
        "the ids": torch.tensor([*chain(*ids)]),
        "the targets": torch.tensor([*chain(*targets)]),
    }


def rendered_roles(module: ModuleType, _seed: int) -> Observation:
    ids, _ = pair(module.render(TYPED, Letters()), "render")
    return {"roles in a conversation whose text has their names": str(int((ids >= 130).sum()))}


def rendered_open(module: ModuleType, _seed: int) -> Observation:
    ids, is_target = pair(module.render(CONVERSATION[:1], Letters()), "render")
    return {"the ids of one question": ids.long(), "its targets": is_target.long()}


def render_refusals(module: ModuleType, _seed: int) -> Observation:
    call = partial(module.render, [("system", "be kind"), *CONVERSATION], Letters())
    return {"the role 'system'": ending(call)}


def rows(seed: int) -> list[tuple[Tensor, Tensor]]:
    """Three conversations of 5, 8 and 3 ids, none of them 0."""
    generator = draws(seed, "rows")
    found = []
    for length in (5, 8, 3):
        ids = torch.randint(1, 20, (length,), generator=generator)
        found.append((ids, torch.rand(length, generator=generator) > 0.4))
    return found


def batched(module: ModuleType, seed: int) -> Observation:
    tokens, is_target = pair(module.batch_of(rows(seed)), "batch_of")
    return {"the tokens": tokens.long(), "the targets": is_target.long()}


def batched_in_a_loop(_reference: ModuleType, seed: int) -> Observation:
    tokens, targets = torch.zeros(3, 8, dtype=torch.long), torch.zeros(3, 8, dtype=torch.long)
    for row, (ids, is_target) in enumerate(rows(seed)):
        tokens[row, : len(ids)], targets[row, : len(ids)] = ids, is_target.long()
    return {"the tokens": tokens, "the targets": targets}


def batched_kinds(module: ModuleType, seed: int) -> Observation:
    alone = [rows(seed)[1]]
    tokens, is_target = pair(module.batch_of(alone), "batch_of")
    return {
        "one conversation": tokens.long(),
        "its targets": is_target.long(),
        "kinds": f"{tokens.dtype}, {is_target.dtype}",
    }


def batch_refusals(module: ModuleType, _seed: int) -> Observation:
    return {"no conversation": ending(partial(module.batch_of, []))}


def scored_batch(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits [3 7 11], tokens, and targets of which the rows have 4, 1 and 2."""
    generator = draws(seed, "scored")
    logits = 3 * torch.randn(3, 7, 11, generator=generator, dtype=torch.float64)
    tokens = torch.randint(0, 11, (3, 7), generator=generator)
    is_target = torch.zeros(3, 7, dtype=torch.bool)
    is_target[0, 2:6] = is_target[1, 6] = is_target[2, 1] = is_target[2, 4] = True
    return logits, tokens, is_target


def lost(module: ModuleType, seed: int) -> Observation:
    made = module.masked_loss(*scored_batch(seed))
    return {"the loss": tensor(made, "masked_loss").detach().double()}


def lost_by_ignored_targets(_reference: ModuleType, seed: int) -> Observation:
    """torch's cross-entropy, which leaves targets of -100 out."""
    logits, tokens, is_target = scored_batch(seed)
    targets = torch.where(is_target, tokens, -100)[:, 1:]
    return {"the loss": F.cross_entropy(logits[:, :-1].transpose(1, 2), targets)}


def lost_gradient(module: ModuleType, seed: int) -> Observation:
    logits, tokens, is_target = scored_batch(seed)
    logits.requires_grad_()
    module.masked_loss(logits, tokens, is_target).backward()
    return {"the gradient of the logits": logits.grad}


def lost_gradient_by_ignored_targets(_reference: ModuleType, seed: int) -> Observation:
    logits, tokens, is_target = scored_batch(seed)
    logits.requires_grad_()
    targets = torch.where(is_target, tokens, -100)[:, 1:]
    F.cross_entropy(logits[:, :-1].transpose(1, 2), targets).backward()
    return {"the gradient of the logits": logits.grad}


def lost_at_the_first(module: ModuleType, seed: int) -> Observation:
    """A first token that is a target has no logits before it, and does not count."""
    logits, tokens, is_target = scored_batch(seed)
    is_target[:, 0] = True
    made = tensor(module.masked_loss(logits, tokens, is_target), "masked_loss")
    return {"the loss where the first token is a target": made.double()}


def loss_refusals(module: ModuleType, seed: int) -> Observation:
    logits, tokens, is_target = scored_batch(seed)
    call = partial(module.masked_loss, logits, tokens, torch.zeros_like(is_target))
    return {"a batch without a target": ending(call)}


GROWN = 3000


def table(seed: int) -> Tensor:
    """A table of 50 rows, whose five dimensions differ in mean and spread."""
    noise = torch.randn(50, 5, generator=draws(seed, "table"), dtype=torch.float64)
    return noise * torch.tensor([0.1, 1.0, 2.0, 0.5, 3.0]) + torch.tensor(
        [4.0, -2.0, 0.0, 1.0, 8.0]
    )


def grown_rows(module: ModuleType, seed: int) -> Observation:
    old = table(seed)
    made = module.grow(old, 4, generator=draws(seed, "grow"))
    made = tensor(made, "grow")
    return {"how many rows": str(len(made)), "the old rows": made[:50].detach()}


def grown_old_rows(_reference: ModuleType, seed: int) -> Observation:
    return {"how many rows": "54", "the old rows": table(seed)}


def new_rows(module: ModuleType, seed: int) -> Observation:
    made = module.grow(table(seed), GROWN, generator=draws(seed, "many"))
    return {"the new rows": tensor(made, "grow")[-GROWN:].detach()}


def their_statistics(observed: Observation) -> Observation:
    """Mean and spread of each dimension, and how alike dimensions and rows are, with errors."""
    made = observed["the new rows"]
    assert isinstance(made, Tensor)
    if made.shape != (GROWN, 5):
        return observed
    found: dict[str, Estimate] = {}
    for place in range(5):
        values = made[:, place]
        mean, spread = float(values.mean()), float(values.std())
        found[f"the mean of dimension {place}"] = Estimate(mean, spread / GROWN**0.5)
        found[f"the spread of dimension {place}"] = Estimate(spread, spread / (2 * GROWN) ** 0.5)
    spreads = made.std(dim=0).clamp(min=1e-12)
    scaled = (made - made.mean(dim=0)) / spreads
    together = float((scaled[:, 0] * scaled[:, 1]).mean())
    found["how far two dimensions go together"] = Estimate(together, GROWN**-0.5)
    return found


def expected_statistics(_reference: ModuleType, seed: int) -> Observation:
    old = table(seed)
    found = {}
    for place in range(5):
        mean, spread = float(old[:, place].mean()), float(old[:, place].std())
        found[f"the mean of dimension {place}"] = Estimate(mean)
        found[f"the spread of dimension {place}"] = Estimate(spread)
    return found | {"how far two dimensions go together": Estimate(0.0)}


def grown_again(module: ModuleType, seed: int) -> Observation:
    old = table(seed)
    before = torch.default_generator.get_state()
    first, second = (module.grow(old, 6, generator=draws(seed, "again")) for _ in range(2))
    used = not torch.equal(before, torch.default_generator.get_state())
    return {
        "two tables from equally seeded generators": "equal"
        if torch.equal(first, second)
        else "different",
        "torch's global generator": "used" if used else "untouched",
        "the old table afterwards": "as before" if torch.equal(old, table(seed)) else "changed",
        "its kind": str(module.grow(old.float(), 1, generator=draws(seed, "kind")).dtype),
    }


def grow_refusals(module: ModuleType, seed: int) -> Observation:
    return {"-1 new tokens": ending(partial(module.grow, table(seed), -1)),
            "0 new tokens": str(len(module.grow(table(seed), 0)))}  # fmt: skip


class Next(nn.Module):
    """A model that says, after each token, the one that a table has for it; dropout confuses it."""

    def __init__(self) -> None:
        super().__init__()
        self.following = {20: 3, 3: 5, 5: 7, 7: 2, 2: 19, 19: 4, 4: 18, 18: 6, 6: 6, 8: 9, 9: 20}
        self.read: list[int] = []

    def forward(self, tokens: Tensor) -> Tensor:
        self.read.append(tokens.shape[1])
        logits = torch.zeros(*tokens.shape, 21)
        for row, column in torch.cartesian_prod(*map(torch.arange, tokens.shape)).tolist():
            token = 1 if self.training else self.following.get(int(tokens[row, column]), 0)
            logits[row, column, token] = 2.0
        return logits


PROMPTS = {"that ends": ([8, 9, 20], 10), "of at most 2 tokens": ([8, 9, 20], 2),
           "of at most 0 tokens": ([20], 0), "where the user would speak": ([2, 2, 4], 10),
           "without an end": ([18, 6], 5), "after a prompt with an end in it": ([19, 18, 20], 3)}  # fmt: skip


def replied(module: ModuleType, _seed: int) -> Observation:
    found = {}
    for name, (prompt, longest) in PROMPTS.items():
        said = module.reply(Next(), torch.tensor(prompt), (19, 18), longest)
        found[f"the reply {name}"] = str([int(each) for each in said])
    return found


@cache
def small_model() -> nn.Module:
    """A GPT-2 with random weights, whose greedy reply is not one token again and again."""
    solution = binding.load(binding.reference_path())
    generator = torch.Generator().manual_seed(11)
    model: nn.Module = solution.Transformer(
        solution.TransformerConfig(
            d_model=24, n_layers=2, n_heads=3, n_ctx=24, d_vocab=19, tied_embeddings=False
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        model.ln_final.b.zero_()
        model.unembed.b_U.zero_()
    return model.eval()


def replied_by_a_gpt2(module: ModuleType, seed: int) -> Observation:
    prompt = torch.randint(0, 17, (6,), generator=draws(seed, "prompt"))
    said = module.reply(small_model(), prompt, (17, 18), 12)
    return {"the reply of a small GPT-2": str([int(each) for each in said])}


def replied_by_generate(_reference: ModuleType, seed: int) -> Observation:
    """The part `generate` at temperature 0, cut at the first stop."""
    solution = binding.load(binding.reference_path())
    prompt = torch.randint(0, 17, (6,), generator=draws(seed, "prompt"))
    said = solution.generate(small_model(), prompt[None], 12, temperature=0.0)[0, 6:].tolist()
    cut = next((place for place, token in enumerate(said) if token in (17, 18)), 12)
    return {"the reply of a small GPT-2": str(said[:cut])}


def reply_kept(module: ModuleType, _seed: int) -> Observation:
    prompt, model = torch.tensor([8, 9, 20]), Next()
    module.reply(model, prompt, (19, 18), 10)
    model.train()
    said = module.reply(model, prompt, (19, 18), 10)
    return {
        "the prompt afterwards": str(prompt.tolist()),
        "the reply of a model in training mode": str([int(each) for each in said]),
    }


def reply_refusals(module: ModuleType, _seed: int) -> Observation:
    empty = torch.tensor([], dtype=torch.long)
    return {"an empty prompt": ending(partial(module.reply, small_model(), empty, (17, 18), 3))}


CLAIMS = {
    "render": (
        Claim("render", "Roles, texts and ends follow each other, and the answers are targets",
              rendered, also=(rendered_by_hand,), gate=True),
        Claim("render", "A question alone has no target", rendered_open),
        Claim("render", "The name of a role in a text is text", rendered_roles),
        Claim("render", "Another role is refused with ValueError", render_refusals,
              group="refusals"),
    ),
    "batch_of": (
        Claim("batch_of", "Every row is padded on the right, where nothing is a target", batched,
              also=(batched_in_a_loop,), gate=True),
        Claim("batch_of", "One conversation is a batch of one row", batched_kinds),
        Claim("batch_of", "No conversation is refused with ValueError", batch_refusals,
              group="refusals"),
    ),
    "masked_loss": (
        Claim("masked_loss", "It is the mean over the targets, each scored by the logits before",
              lost, also=(lost_by_ignored_targets,), gate=True),
        Claim("masked_loss", "A target without logits before it does not count",
              lost_at_the_first),
        Claim("masked_loss", "Its gradient is that of torch's cross-entropy", lost_gradient,
              also=(lost_gradient_by_ignored_targets,), group="gradient"),
        Claim("masked_loss", "A batch without a target is refused with ValueError", loss_refusals,
              group="refusals"),
    ),
    "grow": (
        Claim("grow", "The old rows come first, and stay as they are", grown_rows,
              expect=grown_old_rows, gate=True),
        Claim("grow", "New rows have the mean and the spread of the old ones", new_rows,
              summary=their_statistics, expect=expected_statistics),
        Claim("grow", "The generator that is given is used, and no other", grown_again,
              group="chance"),
        Claim("grow", "A negative number is refused with ValueError", grow_refusals,
              group="refusals"),
    ),
    "reply": (
        Claim("reply", "It says the most likely tokens up to a stop", replied, gate=True),
        Claim("reply", "It is what `generate` says at temperature 0, up to a stop",
              replied_by_a_gpt2, also=(replied_by_generate,)),
        Claim("reply", "The prompt stays as it is, and dropout is off", reply_kept,
              group="dropout"),
        Claim("reply", "An empty prompt is refused with ValueError", reply_refusals,
              group="refusals"),
    ),
}  # fmt: skip

GUIDES = {
    "render": Guide(
        steps=(
            "Refuse a role that is neither user nor assistant with a ValueError that says it.",
            "A turn is its role's id, the ids of its text, and the end.",
            "Targets are the ids of the assistant's texts and the ends after them.",
        ),
        hints=(
            "What should the model learn to say, and what does it only read?",
            "The assistant's role is given when the model is asked; the end after an answer is "
            "what it must learn to say.",
            "is_target of a turn: [False, *[role == 'assistant'] * (len(text_ids) + 1)]",
        ),
    ),
    "batch_of": Guide(
        steps=(
            "Refuse an empty list with a ValueError.",
            "Pad every row's ids with 0, and its mask with False, on the right to the longest.",
            "Stack both.",
        ),
        hints=(
            "On which side may something stand that a causal model must not notice?",
            "torch.nn.functional.pad(row, (left, right)) pads the last axis.",
            "F.pad(ids, (0, longest - len(ids)))",
        ),
    ),
    "masked_loss": Guide(
        steps=(
            "The logits at p are for token p + 1: leave the last logits and the first token out.",
            "Keep the places whose token is a target; refuse with a ValueError when there is none.",
            "Give the mean cross-entropy of those.",
        ),
        hints=(
            "Which of the two is moved by one, and what happens to the mask then?",
            "The mask says which tokens are targets, so it is cut as the tokens are: [:, 1:].",
            "F.cross_entropy(logits[:, :-1][is_target[:, 1:]], tokens[:, 1:][is_target[:, 1:]])",
        ),
    ),
    "grow": Guide(
        steps=(
            "Refuse a negative number with a ValueError that says it.",
            "Draw new rows with the mean and the standard deviation of the old ones in every "
            "dimension.",
            "Put them after the old rows.",
        ),
        hints=(
            "How large is an embedding, and what would a row of zeros or a copy learn?",
            "mean(dim=0) and std(dim=0) have one number a dimension; noise is drawn for each row "
            "and dimension.",
            "torch.cat([W_E, W_E.mean(0) + W_E.std(0) * noise])",
        ),
    ),
    "reply": Guide(
        steps=(
            "Refuse an empty prompt with a ValueError; turn dropout off.",
            "Take the most likely token after the prompt and what was said so far.",
            "End before a stop, or when max_new_tokens are said.",
        ),
        hints=(
            "Whose logits decide the next token, and what becomes of a stop?",
            "The model reads the prompt and all that was said, as a batch of one row.",
            "model(torch.cat([prompt, torch.tensor(said)])[None])[0, -1].argmax()",
        ),
    ),
}


mistake = partial(exercise_mistake, GUIDES)


_SAID = "said = [*tokenizer.encode(text), tokenizer.end]"
_IDS = "ids += [tokenizer.assistant if is_assistant else tokenizer.user, *said]"
_TARGETS = "is_target += [False, *[is_assistant] * len(said)]"
_ROLE = 'if role not in ("user", "assistant"):'
_TOKENS = "tokens = [F.pad(ids, (0, longest - len(ids))) for ids, _ in rendered]"
_MASKS = "masks = [F.pad(is_target, (0, longest - len(is_target))) for _, is_target in rendered]"
_LONGEST = "longest = max(len(ids) for ids, _ in rendered)"
_STACK = "return torch.stack(tokens), torch.stack(masks)"
_ASKED = "is_asked = is_target[:, 1:]"
_LOSS = "return F.cross_entropy(logits[:, :-1][is_asked], tokens[:, 1:][is_asked])"
_NOISE = "noise = torch.randn(new_tokens, W_E.shape[1], generator=generator, dtype=W_E.dtype)"
_GROWN = "return torch.cat([W_E, W_E.mean(dim=0) + W_E.std(dim=0) * noise])"
_WHILE = "while len(said) < max_new_tokens:"
_NEXT = "token = int(model(tokens[None])[0, -1].argmax())"
_READ = "tokens = torch.cat([prompt, torch.tensor(said, dtype=prompt.dtype)])"
_STOP = """        if token in stops:
            break
        said.append(token)"""
_EACH = """F.cross_entropy(
        logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")"""

MISTAKES = {
    "render": (
        mistake("render", "roles-trained", _TARGETS,
                "is_target += [is_assistant, *[is_assistant] * len(said)]",
                "makes the assistant's role a target",
                "Who puts the role there when the model is asked?"),
        mistake("render", "end-not-trained", _TARGETS,
                "is_target += [False, *[is_assistant] * (len(said) - 1), False]",
                "leaves the end out of the targets, so that the model never learns to stop",
                "How does the model learn to end its turn?"),
        mistake("render", "user-trained", _TARGETS, "is_target += [False, *[True] * len(said)]",
                "makes the user's turns targets", "Should the model learn to ask?"),
        mistake("render", "inverted", _TARGETS,
                "is_target += [False, *[not is_assistant] * len(said)]",
                "makes the user's turns targets instead of the assistant's",
                "Who answers?"),
        mistake("render", "all-ends-trained", _TARGETS,
                "is_target += [False, *[is_assistant] * (len(said) - 1), True]",
                "makes the ends of the user's turns targets, too",
                "Who says the end after a question?"),
        mistake("render", "last-answer-only", "    return torch.tensor(ids), torch.tensor(is_target)",
                "    last = max((p for p, i in enumerate(ids) if i == tokenizer.assistant), default=0)\n"
                "    is_target = [each and place > last for place, each in enumerate(is_target)]\n"
                "    return torch.tensor(ids), torch.tensor(is_target)",
                "trains the last answer only", "How many answers has a conversation?"),
        mistake("render", "no-end-after-the-user", _SAID,
                "said = [*tokenizer.encode(text), *[tokenizer.end] * is_assistant]",
                "puts no end after the user's turns", "What stands after every turn?"),
        mistake("render", "no-ends", _SAID, "said = tokenizer.encode(text)",
                "puts no end after a turn", "What stands after every turn?"),
        mistake("render", "roles-exchanged", _IDS,
                "ids += [tokenizer.user if is_assistant else tokenizer.assistant, *said]",
                "exchanges the two roles", "Which role begins a question?"),
        mistake("render", "no-roles", _IDS, "ids += said",
                "leaves the roles out", "What stands before every turn?",
                also=((_TARGETS, "is_target += [is_assistant] * len(said)"),)),
        mistake("render", "line-breaks", _SAID,
                'said = [*tokenizer.encode(text + "\\n"), tokenizer.end]',
                "puts a line break after every text", "What stands between a text and its end?"),
        mistake("render", "typed-roles", _SAID,
                'named = {"<|user|>": tokenizer.user, "<|assistant|>": tokenizer.assistant}\n'
                '        pieces = re.split(r"(<\\|(?:user|assistant)\\|>)", text)\n'
                "        said = [each for piece in pieces for each in "
                "([named[piece]] if piece in named else tokenizer.encode(piece))] + [tokenizer.end]",
                "turns the name of a role in a text into that role",
                "What must somebody who types <|assistant|> not be able to do?",
                also=(("from typing import Protocol", "import re\nfrom typing import Protocol"),)),
        mistake("render", "any-role", _ROLE, "if False:", "takes any other role for the user's",
                "What if a file has system messages?"),
    ),
    "batch_of": (
        mistake("batch_of", "left", _TOKENS,
                "tokens = [F.pad(ids, (longest - len(ids), 0)) for ids, _ in rendered]",
                "pads on the left, where a causal model sees it",
                "On which side of a token is what a causal model sees?",
                also=((_MASKS, "masks = [F.pad(is_target, (longest - len(is_target), 0)) "
                       "for _, is_target in rendered]"),)),
        mistake("batch_of", "mask-left", _MASKS,
                "masks = [F.pad(is_target, (longest - len(is_target), 0)) "
                "for _, is_target in rendered]",
                "pads the mask on the other side than the tokens", "Which token is a target?"),
        mistake("batch_of", "padding-trained", _MASKS,
                "masks = [F.pad(is_target, (0, longest - len(is_target)), value=True) "
                "for _, is_target in rendered]",
                "makes the padding targets", "Should the model learn to say the padding?"),
        mistake("batch_of", "all-trained", _MASKS,
                "masks = [torch.arange(longest) < len(ids) for ids, _ in rendered]",
                "makes every token that is no padding a target", "What does the mask say?"),
        mistake("batch_of", "cut", _LONGEST, "longest = min(len(ids) for ids, _ in rendered)",
                "cuts all rows to the shortest", "What becomes of the longest row?"),
        mistake("batch_of", "one-more", _LONGEST,
                "longest = 1 + max(len(ids) for ids, _ in rendered)",
                "pads the longest row, too", "How much padding does the longest row need?"),
        mistake("batch_of", "last-token-repeated", _TOKENS,
                "tokens = [torch.cat([ids, ids[-1:].expand(longest - len(ids))]) "
                "for ids, _ in rendered]",
                "fills up with the last token instead of 0", "Which id is the padding?"),
        mistake("batch_of", "pads-with-one", _TOKENS,
                "tokens = [F.pad(ids, (0, longest - len(ids)), value=1) for ids, _ in rendered]",
                "pads with the id 1", "Which id is the padding?"),
        mistake("batch_of", "sorted", _STACK,
                "order = sorted(range(len(rendered)), key=lambda row: len(rendered[row][0]))\n"
                "    return torch.stack([tokens[row] for row in order]), torch.stack("
                "[masks[row] for row in order])",
                "sorts the rows by length", "In which order do the rows come?"),
        mistake("batch_of", "columns", _STACK,
                "return torch.stack(tokens, dim=1), torch.stack(masks, dim=1)",
                "has conversations as columns", "Which axis is the batch?"),
        mistake("batch_of", "empty-batch", '    if not rendered:\n        raise ValueError("0 conversations make no batch; give at least 1")',
                "    if not rendered:\n        return torch.zeros(0, 0), torch.zeros(0, 0)",
                "gives an empty batch for no conversation", "What would be trained on no rows?"),
    ),
    "masked_loss": (
        mistake("masked_loss", "mask-not-shifted", _ASKED, "is_asked = is_target[:, :-1]",
                "does not move the mask with the targets: it scores the token after each target",
                "Does the mask speak of what is read, or of what is predicted?"),
        mistake("masked_loss", "predicts-itself", _LOSS,
                "return F.cross_entropy(logits[:, 1:][is_asked], tokens[:, 1:][is_asked])",
                "scores the logits at a token against that token", "What do the logits at p predict?"),
        mistake("masked_loss", "predicts-the-one-before", _LOSS,
                "return F.cross_entropy(logits[:, 1:][is_asked], tokens[:, :-1][is_asked])",
                "scores the logits against the token before", "What do the logits at p predict?"),
        mistake("masked_loss", "mask-ignored", _LOSS,
                "return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())",
                "ignores the mask", "Which tokens count?"),
        mistake("masked_loss", "inverted", _LOSS,
                "return F.cross_entropy(logits[:, :-1][~is_asked], tokens[:, 1:][~is_asked])",
                "scores what is no target", "What does True in the mask mean?"),
        mistake("masked_loss", "over-all-positions", _LOSS,
                "return F.cross_entropy(logits[:, :-1][is_asked], tokens[:, 1:][is_asked], "
                'reduction="sum") / is_asked.numel()',
                "divides by all positions instead of by the targets",
                "Should padding make the loss smaller?"),
        mistake("masked_loss", "sum", _LOSS,
                "return F.cross_entropy(logits[:, :-1][is_asked], tokens[:, 1:][is_asked], "
                'reduction="sum")',
                "sums over the targets", "Does the loss grow with the batch?"),
        mistake("masked_loss", "mean-of-rows", _LOSS,
                f"losses = {_EACH} * is_asked\n"
                "    return (losses.sum(dim=1) / is_asked.sum(dim=1).clamp(min=1)).mean()",
                "is the mean of the rows' means: a short answer counts as much as a long one",
                "How much does each target count?"),
        mistake("masked_loss", "logits-masked", _LOSS,
                "return F.cross_entropy((logits[:, :-1] * is_asked[:, :, None]).flatten(0, 1), "
                "tokens[:, 1:].flatten())",
                "sets the logits to 0 instead of leaving the places out",
                "What is the loss of logits that are all 0?"),
        mistake("masked_loss", "tokens-masked", _LOSS,
                "return F.cross_entropy(logits[:, :-1].flatten(0, 1), "
                "(tokens[:, 1:] * is_asked).flatten())",
                "takes token 0 for the target where there is none",
                "What is the target where the mask is False?"),
        mistake("masked_loss", "by-all-targets", _LOSS,
                "return F.cross_entropy(logits[:, :-1][is_asked], tokens[:, 1:][is_asked], "
                'reduction="sum") / is_target.sum()',
                "divides by all targets, also those at the first position, which are not scored",
                "Which logits score the first token?"),
        mistake("masked_loss", "no-refusal", "    if not is_asked.any():", "    if False:",
                "accepts a batch without a target, whose loss is no number",
                "What is the mean of no numbers?"),
    ),
    "grow": (
        mistake("grow", "zeros", _GROWN, "return torch.cat([W_E, 0 * noise])",
                "gives rows of zeros", "How large is an embedding?"),
        mistake("grow", "means-only", _GROWN,
                "return torch.cat([W_E, W_E.mean(dim=0) + 0 * noise])",
                "gives every new token the mean, so that they are all alike",
                "How does a model tell two equal rows apart?"),
        mistake("grow", "noise-only", _GROWN, "return torch.cat([W_E, W_E.std(dim=0) * noise])",
                "leaves the mean out", "Where do the old rows lie?"),
        mistake("grow", "as-fresh", _GROWN, "return torch.cat([W_E, 0.02 * noise])",
                "draws rows as a fresh model's are, with a standard deviation of 0.02",
                "How large are the rows of a trained model?"),
        mistake("grow", "one-spread", _GROWN,
                "return torch.cat([W_E, W_E.mean(dim=0) + W_E.std() * noise])",
                "has one spread for all dimensions", "Over which axis is the spread taken?"),
        mistake("grow", "one-mean", _GROWN,
                "return torch.cat([W_E, W_E.mean() + W_E.std(dim=0) * noise])",
                "has one mean for all dimensions", "Over which axis is the mean taken?"),
        mistake("grow", "variance", _GROWN,
                "return torch.cat([W_E, W_E.mean(dim=0) + W_E.var(dim=0) * noise])",
                "multiplies by the variance", "What is a standard deviation?"),
        mistake("grow", "one-number-a-row", _NOISE,
                "noise = torch.randn(new_tokens, 1, generator=generator, dtype=W_E.dtype)",
                "draws one number for a whole row", "How many numbers has a row?"),
        mistake("grow", "uniform", _NOISE,
                "noise = torch.rand(new_tokens, W_E.shape[1], generator=generator, dtype=W_E.dtype)",
                "draws evenly from 0 to 1, not from a normal distribution",
                "What does torch.rand draw?"),
        mistake("grow", "new-ones-first", _GROWN,
                "return torch.cat([W_E.mean(dim=0) + W_E.std(dim=0) * noise, W_E])",
                "puts the new rows first, so that every id means another token",
                "Which ids do the old tokens have?"),
        mistake("grow", "all-drawn-anew", _GROWN,
                "noise = torch.cat([noise, torch.randn(W_E.shape, dtype=W_E.dtype)])\n"
                "    return W_E.mean(dim=0) + W_E.std(dim=0) * noise",
                "draws the old rows anew, too", "What has the model learned so far?"),
        mistake("grow", "own-randomness", _NOISE,
                "noise = torch.randn(new_tokens, W_E.shape[1], dtype=W_E.dtype)",
                "draws from torch's global generator instead of the one that is given",
                "What is `generator` for?"),
        mistake("grow", "no-refusal", "    if new_tokens < 0:", "    if new_tokens < 0:\n        return W_E[:new_tokens]\n    if False:",
                "takes rows away for a negative number", "What would become of the tokens?"),
    ),
    "reply": (
        mistake("reply", "never-stops", "        if token in stops:\n            break\n", "",
                "says on after a stop", "When has the model answered?"),
        mistake("reply", "says-the-stop", _STOP,
                "        said.append(token)\n        if token in stops:\n            break",
                "makes the stop part of the answer", "Is the end part of what was said?"),
        mistake("reply", "first-stop-only", "        if token in stops:",
                "        if token == tuple(stops)[0]:",
                "stops at the first of the stops only, and speaks for the user",
                "How many stops are there?"),
        mistake("reply", "stop-in-the-prompt", _WHILE,
                "while len(said) < max_new_tokens and not any(int(each) in stops for each in prompt):",
                "says nothing when the prompt has a stop in it, as every second question has",
                "Where may a stop stand in a conversation?"),
        mistake("reply", "with-the-prompt", "    return said", "    return prompt.tolist() + said",
                "gives the prompt back, too", "What did the model say?"),
        mistake("reply", "one-more", _WHILE, "while len(said) <= max_new_tokens:",
                "says one token too many", "How many tokens may it say?"),
        mistake("reply", "one-less", _WHILE, "while len(said) < max_new_tokens - 1:",
                "says one token too few", "How many tokens may it say?"),
        mistake("reply", "prompt-forgotten", _READ,
                "tokens = torch.tensor(said, dtype=prompt.dtype) if said else prompt",
                "reads what it said without the prompt", "What must the model read?"),
        mistake("reply", "only-the-prompt", _READ, "tokens = prompt",
                "reads the prompt again and again", "What must the model read?"),
        mistake("reply", "least-likely", _NEXT, "token = int(model(tokens[None])[0, -1].argmin())",
                "takes the least likely token", "Which token is the most likely one?"),
        mistake("reply", "first-position", _NEXT, "token = int(model(tokens[None])[0, 0].argmax())",
                "takes the logits at the first position", "Whose logits decide what comes next?"),
        mistake("reply", "with-dropout", "    model.eval()\n", "",
                "leaves dropout on", "In which mode is a model that has just been trained?"),
        mistake("reply", "no-refusal", "    if len(prompt) == 0:", "    if len(prompt) == 0:\n        return []\n    if False:",
                "says nothing after an empty prompt", "What could be the last position of nothing?"),
    ),
}  # fmt: skip

EXERCISES = ExerciseSet(
    name="chat",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
