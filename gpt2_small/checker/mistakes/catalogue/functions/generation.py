"""List the known mistakes in generate."""

from gpt2_small.checker.mistakes.mistake import Mistake

PART = "generate"
_MODEL = "logits = model(tokens[:, -config.n_ctx :])"
_LAST = "                logits[:, -1],\n"
_APPEND = 'tokens = torch.cat([tokens, rearrange(next_token, "batch -> batch 1")], dim=1)'
_LOOP = "for _ in range(max_new_tokens):"
_EVAL = "    model.eval()\n"
_RESTORE = "        model.train(was_training)\n    return tokens\n"

_POSITION_HINTS = (
    "Which position's logits foresee the next token?",
    "The logits at a position score the token after it, so the last position's are needed.",
    "next_token = sample(model(tokens)[:, -1], ...)",
)
_WINDOW_HINTS = (
    "What does the model see when there are more than n_ctx tokens?",
    "The model reads the last n_ctx tokens; the returned tokens are complete.",
    "logits = model(tokens[:, -n_ctx:])",
)
_OPTIONS_HINTS = (
    "Which of the options reach sample?",
    "temperature, top_k, top_p and generator are all handed on.",
    "sample(logits, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)",
)
_RESULT_HINTS = (
    "What is returned for a prompt of 4 tokens and 3 new ones?",
    "The prompt, and after it the new tokens in the order in which they were drawn.",
    "tokens = torch.cat([tokens, next_token[:, None]], dim=1)",
)
_MODE_HINTS = (
    "In which mode is the model meanwhile, and in which mode afterwards?",
    "Dropout is off while it generates; then the model is put back into the mode it was in.",
    "was_training = model.training; model.eval(); ...; model.train(was_training)",
)
_END_HINTS = (
    "What does it return for 4 new tokens, when all of them are the last of the vocabulary?",
    "Every row is continued by max_new_tokens tokens, whatever they are.",
    "for _ in range(max_new_tokens): ..., without a break",
)
_GRADIENTS_HINTS = (
    "Do the model's logits require a gradient meanwhile?",
    "Nothing is learned here; kept gradients fill the memory.",
    "@torch.no_grad()",
)

MISTAKES = [
    Mistake(
        id="generate-stops-at-the-end-of-text",
        component=PART,
        old=_APPEND,
        new=_APPEND
        + "\n            if (next_token == config.d_vocab - 1).all():\n                break",
        sentence="stops as soon as every row drew the last token of the vocabulary",
        hints=_END_HINTS,
    ),
    Mistake(
        id="generate-stops-at-token-zero",
        component=PART,
        old=_APPEND,
        new=_APPEND + "\n            if (next_token == 0).all():\n                break",
        sentence="stops as soon as every row drew token 0",
        hints=_END_HINTS,
    ),
    Mistake(
        id="generate-first-position",
        component=PART,
        old=_LAST,
        new="                logits[:, 0],\n",
        sentence="continues from the first position's logits",
        hints=_POSITION_HINTS,
    ),
    Mistake(
        id="generate-position-before-last",
        component=PART,
        old=_LAST,
        new="                logits[:, max(logits.shape[1] - 2, 0)],\n",
        sentence="continues from the last but one position's logits",
        hints=_POSITION_HINTS,
    ),
    Mistake(
        id="generate-mean-of-positions",
        component=PART,
        old=_LAST,
        new="                logits.mean(dim=1),\n",
        sentence="continues from the mean of all positions' logits",
        hints=_POSITION_HINTS,
    ),
    Mistake(
        id="generate-largest-of-positions",
        component=PART,
        old=_LAST,
        new="                logits.amax(dim=1),\n",
        sentence="continues from the largest logits of all positions",
        hints=_POSITION_HINTS,
    ),
    Mistake(
        id="generate-last-row",
        component=PART,
        old=_LAST,
        new="                logits[-1:, -1].expand(len(logits), -1),\n",
        sentence="continues every row with the last row's logits",
        hints=_POSITION_HINTS,
    ),
    Mistake(
        id="generate-not-cropped",
        component=PART,
        old=_MODEL,
        new="logits = model(tokens)",
        sentence="gives the model more than n_ctx tokens",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="generate-first-n-ctx",
        component=PART,
        old=_MODEL,
        new="logits = model(tokens[:, : config.n_ctx])",
        sentence="gives the model the first n_ctx tokens instead of the last",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="generate-one-less",
        component=PART,
        old=_MODEL,
        new="logits = model(tokens[:, -(config.n_ctx - 1) :])",
        sentence="gives the model one token less than fits",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="generate-half-a-window",
        component=PART,
        old=_MODEL,
        new=(
            "logits = model(tokens if tokens.shape[1] <= config.n_ctx else tokens[:, "
            "-(config.n_ctx // 2) :])"
        ),
        sentence="gives the model half of n_ctx once the window is full",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="generate-last-token-only",
        component=PART,
        old=_MODEL,
        new="logits = model(tokens[:, -1:])",
        sentence="gives the model the last token only",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="generate-prompt-only",
        component=PART,
        old=_MODEL,
        new="logits = model(prompt[:, -config.n_ctx :])",
        also=((_EVAL, ("    model.eval()\n    prompt = tokens\n")),),
        sentence="always gives the model the prompt, without the new tokens",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="generate-crops-result",
        component=PART,
        old=_MODEL,
        new=("tokens = tokens[:, -config.n_ctx :]\n            logits = model(tokens)"),
        sentence="loses the cropped tokens: it returns fewer tokens",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="generate-crops-by-rows",
        component=PART,
        old=_MODEL,
        new="logits = model(tokens[:, len(tokens) - config.n_ctx :])",
        sentence="takes the number of rows, len(tokens), for the number of tokens where it crops",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="generate-crops-result-by-rows",
        component=PART,
        old=_MODEL,
        new=(
            "tokens = tokens[:, len(tokens) - config.n_ctx :]\n            logits = model(tokens)"
        ),
        sentence=(
            "loses the cropped tokens, and takes the number of rows, len(tokens), for the number "
            "of tokens where it crops"
        ),
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="generate-stops-at-n-ctx",
        component=PART,
        old=_MODEL,
        new=(
            "if tokens.shape[1] >= config.n_ctx:\n"
            "                break\n"
            "            logits = model(tokens[:, -config.n_ctx :])"
        ),
        sentence="stops when n_ctx is reached",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="generate-crops-prompt-once",
        component=PART,
        old=_EVAL,
        new=("    model.eval()\n    tokens = tokens[:, -config.n_ctx :]\n"),
        sentence="loses the beginning of a long prompt",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="generate-temperature-forgotten",
        component=PART,
        old="                temperature=temperature,\n",
        new="",
        sentence="does not hand temperature on to sample",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-top-k-forgotten",
        component=PART,
        old="                top_k=top_k,\n",
        new="",
        sentence="does not hand top_k on to sample",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-top-p-forgotten",
        component=PART,
        old="                top_p=top_p,\n",
        new="",
        sentence="does not hand top_p on to sample",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-top-p-or-top-k",
        component=PART,
        old="                top_p=top_p,\n",
        new="                top_p=None if top_k else top_p,\n",
        sentence="does not hand top_p on to sample when it is given top_k too",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-generator-forgotten",
        component=PART,
        old="                generator=generator,\n",
        new="",
        sentence="does not hand generator on to sample",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-always-greedy",
        component=PART,
        old="                temperature=temperature,\n",
        new="                temperature=0,\n",
        sentence="always takes the most likely token",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-seeds-each-step",
        component=PART,
        old=_MODEL,
        new=(
            "logits = model(tokens[:, -config.n_ctx :])\n"
            "            generator = torch.Generator().manual_seed(0)"
        ),
        sentence="uses its own seed instead of the given generator",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-same-random-numbers-each-step",
        component=PART,
        old=_LOOP,
        new=(
            "start = None if generator is None else generator.get_state()\n"
            "        for _ in range(max_new_tokens):\n"
            "            if start is not None:\n"
            "                generator.set_state(start)"
        ),
        sentence="draws every token with the same random numbers",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-seeds-torch-each-step",
        component=PART,
        old=_MODEL,
        new=(
            "logits = model(tokens[:, -config.n_ctx :])\n"
            "            if generator is None:\n"
            "                torch.manual_seed(1337)"
        ),
        sentence="seeds torch before every token, so that all get the same random numbers",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-restarts-generator",
        component=PART,
        old=_LOOP,
        new=(
            "if generator is not None:\n"
            "            generator.manual_seed(generator.initial_seed())\n"
            "        for _ in range(max_new_tokens):"
        ),
        sentence="draws the same tokens in every call with one generator",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-seeds-torch",
        component=PART,
        old=_LOOP,
        new=(
            "if generator is None:\n"
            "            torch.manual_seed(1337)\n"
            "        for _ in range(max_new_tokens):"
        ),
        sentence="seeds torch in every call, so that all calls draw the same tokens",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-samples-probabilities",
        component=PART,
        old=_LAST,
        new="                logits[:, -1].softmax(dim=-1),\n",
        sentence="hands probabilities to sample, which takes their softmax again",
        hints=_POSITION_HINTS,
    ),
    Mistake(
        id="generate-new-tokens-only",
        component=PART,
        old=_RESTORE,
        new=(
            "        model.train(was_training)\n"
            "    return tokens[:, tokens.shape[1] - max_new_tokens :]\n"
        ),
        sentence="returns the new tokens without the prompt",
        hints=_RESULT_HINTS,
    ),
    Mistake(
        id="generate-one-too-many",
        component=PART,
        old=_LOOP,
        new="for _ in range(max_new_tokens + 1):",
        sentence="adds one token too many",
        hints=_RESULT_HINTS,
    ),
    Mistake(
        id="generate-one-too-few",
        component=PART,
        old=_LOOP,
        new="for _ in range(max_new_tokens - 1):",
        sentence="adds one token too few",
        hints=_RESULT_HINTS,
    ),
    Mistake(
        id="generate-up-to-length",
        component=PART,
        old=_LOOP,
        new="for _ in range(max_new_tokens - tokens.shape[1]):",
        sentence="takes max_new_tokens for the length of the whole",
        hints=_RESULT_HINTS,
    ),
    Mistake(
        id="generate-puts-in-front",
        component=PART,
        old=_APPEND,
        new=('tokens = torch.cat([rearrange(next_token, "batch -> batch 1"), tokens], dim=1)'),
        sentence="puts new tokens in front of the old ones",
        hints=_RESULT_HINTS,
    ),
    Mistake(
        id="generate-same-for-all-rows",
        component=PART,
        old=_APPEND,
        new=(
            "tokens = torch.cat([tokens, next_token[:1].expand(len(tokens)).unsqueeze(1)], dim=1)"
        ),
        sentence="gives all rows the first row's token",
        hints=_RESULT_HINTS,
    ),
    Mistake(
        id="generate-samples-first-row",
        component=PART,
        old=_LAST,
        new="                logits[:1, -1],\n",
        also=(
            (
                _APPEND,
                "tokens = torch.cat([tokens, next_token.expand(len(tokens)).unsqueeze(1)], dim=1)",
            ),
        ),
        sentence="draws for the first row only, and gives all rows its token",
        hints=_RESULT_HINTS,
    ),
    Mistake(
        id="generate-returns-in-the-loop",
        component=PART,
        old=_APPEND,
        new=f"{_APPEND}\n            return tokens",
        sentence="returns in the loop, after the first new token",
        hints=_RESULT_HINTS,
    ),
    Mistake(
        id="generate-keeps-50-tokens",
        component=PART,
        old="                top_k=top_k,\n",
        new="                top_k=top_k or 50,\n",
        sentence="keeps 50 tokens where top_k is left out",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-takes-zero-for-one",
        component=PART,
        old="                temperature=temperature,\n",
        new="                temperature=temperature or 1.0,\n",
        sentence="replaces a temperature of 0 by 1, because 0 is false",
        hints=_OPTIONS_HINTS,
    ),
    Mistake(
        id="generate-returns-floats",
        component=PART,
        old=_RESTORE,
        new="        model.train(was_training)\n    return tokens.float()\n",
        sentence="returns the tokens as floating-point numbers",
        hints=(
            "What is the dtype of the result, and of the prompt?",
            "Tokens are int64. torch.zeros and torch.empty make float32 if no dtype is given.",
            "torch.zeros(batch, length, dtype=tokens.dtype)",
        ),
    ),
    Mistake(
        id="generate-replaces-last",
        component=PART,
        old=_APPEND,
        new=(
            'tokens = torch.cat([tokens[:, :-1], rearrange(next_token, "batch -> batch 1")], dim=1)'
        ),
        sentence="replaces the last token instead of adding one",
        hints=_RESULT_HINTS,
    ),
    Mistake(
        id="generate-returns-the-prompt",
        component=PART,
        old=_APPEND,
        new="torch.cat([tokens, rearrange(next_token, 'batch -> batch 1')], dim=1)",
        sentence="returns the prompt alone: nothing keeps the tokens that it appends",
        hints=_RESULT_HINTS,
    ),
    Mistake(
        id="generate-repeats-last",
        component=PART,
        old=_APPEND,
        new="tokens = torch.cat([tokens, tokens[:, -1:]], dim=1)",
        sentence="adds the last token again instead of the one drawn",
        hints=_RESULT_HINTS,
    ),
    Mistake(
        id="generate-under-dropout",
        component=PART,
        old=_EVAL,
        new="",
        sentence="leaves the model in training mode, so that dropout acts",
        hints=_MODE_HINTS,
    ),
    Mistake(
        id="generate-children-in-evaluation-alone",
        component=PART,
        old=_EVAL,
        new="    for child in model.children():\n        child.eval()\n",
        sentence="switches only the parts of the model to evaluation mode, not the model itself",
        hints=_MODE_HINTS,
    ),
    Mistake(
        id="generate-left-in-evaluation",
        component=PART,
        old=_RESTORE,
        new=("        model.train(False)\n    return tokens\n"),
        sentence="leaves the model in evaluation mode",
        hints=_MODE_HINTS,
    ),
    Mistake(
        id="generate-restores-the-root-alone",
        component=PART,
        old=_RESTORE,
        new=("        model.training = was_training\n    return tokens\n"),
        sentence="sets the mode of the model back, and leaves that of its modules",
        hints=(
            "In which mode are the model's dropouts afterwards?",
            "`training` is an attribute of every module; train(mode) sets it in all of them.",
            "model.train(was_training)",
        ),
    ),
    Mistake(
        id="generate-left-in-training",
        component=PART,
        old=_RESTORE,
        new=("        model.train()\n    return tokens\n"),
        sentence="leaves the model in training mode",
        hints=_MODE_HINTS,
    ),
    Mistake(
        id="generate-keeps-gradients",
        component=PART,
        old="@torch.no_grad()\n",
        new="",
        sentence="keeps gradients",
        hints=_GRADIENTS_HINTS,
    ),
    Mistake(
        id="generate-changes-prompt",
        component=PART,
        old=_EVAL,
        new=("    model.eval()\n    tokens[:, 0] = (tokens[:, 0] + 1) % 7\n"),
        sentence="changes the prompt that it was given",
        hints=(
            "Print the prompt before and after the call.",
            "Whoever passed it in may still need it.",
            "torch.cat makes a new tensor",
        ),
    ),
    Mistake(
        id="generate-mode-kept-after-error",
        component=PART,
        old="    finally:\n        model.train(was_training)\n    return tokens",
        new="    finally:\n        pass\n    model.train(was_training)\n    return tokens",
        sentence="leaves the model in evaluation mode after an error in it",
        equivalent=True,
    ),
    Mistake(
        id="generate-grows-a-list",
        component=PART,
        old=_APPEND,
        new="tokens = torch.hstack([tokens, next_token.unsqueeze(1)])",
        sentence="appends with hstack",
        equivalent=True,
    ),
    Mistake(
        id="generate-stops-at-50256",
        component=PART,
        old=_APPEND,
        new=_APPEND + "\n            if (next_token == 50256).any():\n                break",
        sentence="stops at token 50256",
        hints=_END_HINTS,
    ),
    Mistake(
        id="generate-stops-before-50256",
        component=PART,
        old=_APPEND,
        new=f"if (next_token == 50256).any():\n                break\n            {_APPEND}",
        sentence="stops at token 50256, and leaves that token out",
        hints=_END_HINTS,
    ),
]
