"""List the known mistakes in the exercises of the chat lesson, as edits."""

from functools import partial

from gpt2_small.checker.exercise_set import exercise_mistake

from .guides import GUIDES

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
