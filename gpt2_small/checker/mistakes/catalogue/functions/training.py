"""List the known mistakes in train."""

from gpt2_small.checker.mistakes.mistake import Mistake

PART = "train"
_LOOP = "for step, batches in enumerate(steps):"
_RATE = "rate = schedule(step)"
_SET = '        for group in optimizer.param_groups:\n            group["lr"] = rate\n'
_MODE = "        model.train()\n"
_STEP = "result = train_step(model, batches, optimizer, max_grad_norm=max_grad_norm, loss=loss)"
_TOKENS = "        tokens += result.tokens\n"
_RECORD = "yield TrainRecord(step + 1, result.loss, result.grad_norm, rate, tokens)"

_RECORDS_HINTS = (
    "Print the records of four steps.",
    (
        "step counts from 1, tokens add up, loss and grad_norm are the step's own, "
        "learning_rate is the one that it used."
    ),
    "TrainRecord(step + 1, result.loss, result.grad_norm, rate, tokens)",
)
_RATES_HINTS = (
    "Print the learning rate of every group at each update.",
    "Before each step every group gets schedule(step), counted from 0.",
    'for group in optimizer.param_groups: group["lr"] = schedule(step)',
)
_LAZY_HINTS = (
    "Take two records. How many steps were made by then?",
    "train is a generator: a step, a record, and nothing more until the next one is asked for.",
    "for step, batches in enumerate(steps): ...; yield TrainRecord(...)",
)
_MODES_HINTS = (
    "Evaluate the model between two records. In which mode is the next step made?",
    "Every step is made in training mode, whatever the caller has done in between.",
    "model.train(), before each step",
)
_ARGUMENTS_HINTS = (
    "Which arguments reach train_step?",
    "The micro-batches of a step are passed on as they are, with max_grad_norm.",
    "train_step(model, batches, optimizer, max_grad_norm=max_grad_norm, loss=loss)",
)

MISTAKES = [
    Mistake(
        id="train-counts-from-zero",
        component=PART,
        old=_RECORD,
        new="yield TrainRecord(step, result.loss, result.grad_norm, rate, tokens)",
        sentence="counts its records from 0",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-tells-rounded-loss",
        component=PART,
        old=_RECORD,
        new=("yield TrainRecord(step + 1, round(result.loss, 2), result.grad_norm, rate, tokens)"),
        sentence="rounds the loss",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-swaps-loss-and-norm",
        component=PART,
        old=_RECORD,
        new="yield TrainRecord(step + 1, result.grad_norm, result.loss, rate, tokens)",
        sentence="swaps loss and grad_norm",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-swaps-norm-and-rate",
        component=PART,
        old=_RECORD,
        new="yield TrainRecord(step + 1, result.loss, rate, result.grad_norm, tokens)",
        sentence="swaps grad_norm and learning_rate",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-tells-base-rate",
        component=PART,
        old=_RECORD,
        new=(
            "yield TrainRecord(step + 1, result.loss, result.grad_norm, "
            'optimizer.defaults["lr"], tokens)'
        ),
        sentence="tells the optimiser's first rate instead of the step's",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-tells-next-rate",
        component=PART,
        old=_RECORD,
        new=(
            "yield TrainRecord(step + 1, result.loss, result.grad_norm, schedule(step + 1), tokens)"
        ),
        sentence="tells the next step's rate",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-clips-what-it-tells",
        component=PART,
        old=_RECORD,
        new=(
            "yield TrainRecord(step + 1, result.loss, min(result.grad_norm, "
            "max_grad_norm), rate, tokens)"
        ),
        sentence="tells the gradient's norm after clipping",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-tokens-of-step-alone",
        component=PART,
        old=_TOKENS,
        new="        tokens = result.tokens\n",
        sentence="tells the step's tokens instead of all so far",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-tokens-before-step",
        component=PART,
        old=_RECORD,
        new=(
            "yield TrainRecord(step + 1, result.loss, result.grad_norm, rate, tokens "
            "- result.tokens)"
        ),
        sentence="tells the tokens before the step",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-tokens-of-windows",
        component=PART,
        old=_TOKENS,
        new="        tokens += sum(batch.numel() for batch in batches)\n",
        sentence="counts all tokens of the windows instead of the targets",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-tokens-are-steps",
        component=PART,
        old=_TOKENS,
        new="        tokens += 1\n",
        sentence="counts steps instead of tokens",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-running-mean",
        component=PART,
        old=_RECORD,
        new=(
            "total = result.loss if step == 0 else total + result.loss\n"
            "        yield TrainRecord(step + 1, total / (step + 1), "
            "result.grad_norm, rate, tokens)"
        ),
        sentence="tells the mean of all losses so far",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-adds-losses",
        component=PART,
        old=_RECORD,
        new=(
            "total = result.loss if step == 0 else total + result.loss\n"
            "        yield TrainRecord(step + 1, total, result.grad_norm, rate, "
            "tokens)"
        ),
        sentence="adds the losses up",
        hints=_RECORDS_HINTS,
    ),
    Mistake(
        id="train-next-rate",
        component=PART,
        old=_RATE,
        new="rate = schedule(step + 1)",
        sentence="uses the next step's rate: the schedule counts from 0",
        hints=_RATES_HINTS,
    ),
    Mistake(
        id="train-rate-of-first-step",
        component=PART,
        old=_RATE,
        new="rate = schedule(0)",
        sentence="asks the schedule for the first step only",
        hints=_RATES_HINTS,
    ),
    Mistake(
        id="train-rate-per-pass",
        component=PART,
        old=_RATE,
        new="rate = schedule(step // 2)",
        sentence="moves its schedule every second step",
        hints=_RATES_HINTS,
    ),
    Mistake(
        id="train-first-group-only",
        component=PART,
        old=_SET,
        new='        optimizer.param_groups[0]["lr"] = rate\n',
        sentence="sets the rate of the first group only",
        hints=_RATES_HINTS,
    ),
    Mistake(
        id="train-rate-not-set",
        component=PART,
        old=_SET,
        new="",
        sentence="does not set the rate",
        hints=_RATES_HINTS,
    ),
    Mistake(
        id="train-rate-too-late",
        component=PART,
        old=_SET,
        new="",
        also=(
            (
                _TOKENS,
                (
                    "        for group in optimizer.param_groups:\n"
                    '            group["lr"] = rate\n'
                    "        tokens += result.tokens\n"
                ),
            ),
        ),
        sentence="sets the rate after the step",
        hints=_RATES_HINTS,
    ),
    Mistake(
        id="train-rate-multiplied",
        component=PART,
        old=_SET,
        new=('        for group in optimizer.param_groups:\n            group["lr"] *= rate\n'),
        sentence="multiplies the optimiser's rate by the schedule's",
        hints=_RATES_HINTS,
    ),
    Mistake(
        id="train-rate-multiplied-and-told",
        component=PART,
        old=_SET,
        new=('        for group in optimizer.param_groups:\n            group["lr"] *= rate\n'),
        also=((_RECORD, _RECORD.replace("rate,", 'group["lr"],')),),
        sentence="multiplies the optimiser's rate by the schedule's, step after step",
        hints=_RATES_HINTS,
    ),
    Mistake(
        id="train-rate-times-the-first",
        component=PART,
        old=_SET,
        new=(
            "        for group in optimizer.param_groups:\n"
            '            group["lr"] = group.setdefault("initial_lr", group["lr"]) * rate\n'
        ),
        also=((_RECORD, _RECORD.replace("rate,", 'group["lr"],')),),
        sentence="multiplies the schedule's rate by the optimiser's first one, as LambdaLR does",
        hints=_RATES_HINTS,
    ),
    Mistake(
        id="train-rate-scaled",
        component=PART,
        old=_SET,
        new=(
            '        scale = rate / optimizer.param_groups[0]["lr"]\n'
            "        for group in optimizer.param_groups:\n"
            '            group["lr"] *= scale\n'
        ),
        sentence="scales the rates of all groups instead of setting them",
        hints=_RATES_HINTS,
    ),
    Mistake(
        id="train-rate-added",
        component=PART,
        old=_SET,
        new=('        for group in optimizer.param_groups:\n            group["lr"] += rate\n'),
        sentence="adds the schedule's rate to the optimiser's",
        hints=_RATES_HINTS,
    ),
    Mistake(
        id="train-rate-in-defaults",
        component=PART,
        old=_SET,
        new='        optimizer.defaults["lr"] = rate\n',
        sentence="sets the rate in the optimiser's defaults, which nothing reads",
        hints=_RATES_HINTS,
        same_as="train-rate-not-set",
    ),
    Mistake(
        id="train-all-at-once",
        component=PART,
        old=_LOOP,
        new=("records = []\n    for step, batches in enumerate(steps):"),
        also=(
            (
                _RECORD,
                (
                    "records.append(TrainRecord(step + 1, result.loss, result.grad_norm, "
                    "rate, tokens))\n"
                    "    yield from records"
                ),
            ),
        ),
        sentence="makes all steps before it gives the first record",
        hints=_LAZY_HINTS,
    ),
    Mistake(
        id="train-reads-ahead",
        component=PART,
        old=_LOOP,
        new="for step, batches in enumerate(list(steps)):",
        sentence="takes all steps from the iterable before the first",
        hints=_LAZY_HINTS,
    ),
    Mistake(
        id="train-record-before-step",
        component=PART,
        old=_LOOP,
        new=(
            "waiting = None\n"
            "    for step, batches in enumerate(steps):\n"
            "        if waiting is not None:\n"
            "            yield waiting"
        ),
        also=(
            (
                _RECORD,
                (
                    "waiting = TrainRecord(step + 1, result.loss, result.grad_norm, rate, "
                    "tokens)\n"
                    "    if waiting is not None:\n"
                    "        yield waiting"
                ),
            ),
        ),
        sentence="takes the next step from the iterable before it gives a step's record",
        hints=_LAZY_HINTS,
    ),
    Mistake(
        id="train-prints",
        component=PART,
        old=_TOKENS,
        new=("        tokens += result.tokens\n        print(step)\n"),
        sentence="prints",
        hints=(
            "What does it print?",
            "Printing is the caller's; train gives records.",
            "yield TrainRecord(...)",
        ),
    ),
    Mistake(
        id="train-mode-not-set",
        component=PART,
        old=_MODE,
        new="",
        sentence="does not put the model into training mode",
        hints=_MODES_HINTS,
    ),
    Mistake(
        id="train-mode-set-once",
        component=PART,
        old=_MODE,
        new=("        if step == 0:\n            model.train()\n"),
        sentence="puts the model into training mode before the first step only",
        hints=_MODES_HINTS,
    ),
    Mistake(
        id="train-in-evaluation",
        component=PART,
        old=_MODE,
        new="        model.eval()\n",
        sentence="makes its steps in evaluation mode",
        hints=_MODES_HINTS,
        same_as="train-mode-not-set",
    ),
    Mistake(
        id="train-limit-forgotten",
        component=PART,
        old=_STEP,
        new="result = train_step(model, batches, optimizer, loss=loss)",
        sentence="does not hand max_grad_norm on",
        hints=_ARGUMENTS_HINTS,
    ),
    Mistake(
        id="train-no-limit",
        component=PART,
        old=_STEP,
        new=("result = train_step(model, batches, optimizer, max_grad_norm=1e9, loss=loss)"),
        sentence="does not clip",
        hints=_ARGUMENTS_HINTS,
    ),
    Mistake(
        id="train-first-micro-batch",
        component=PART,
        old=_STEP,
        new=(
            "result = train_step(model, batches[:1], optimizer, "
            "max_grad_norm=max_grad_norm, loss=loss)"
        ),
        sentence="trains on the first micro-batch of a step only",
        hints=_ARGUMENTS_HINTS,
    ),
    Mistake(
        id="train-every-micro-batch",
        component=PART,
        old=_STEP,
        new=(
            "for batch in batches:\n"
            "            result = train_step(model, [batch], optimizer, "
            "max_grad_norm=max_grad_norm, loss=loss)"
        ),
        sentence="makes a step of every micro-batch",
        hints=_ARGUMENTS_HINTS,
    ),
    Mistake(
        id="train-every-micro-batch-counted",
        component=PART,
        old=_LOOP,
        new="for step, batches in enumerate([batch] for batches in steps for batch in batches):",
        sentence="makes a step of every micro-batch, each with a record",
        hints=_ARGUMENTS_HINTS,
    ),
    Mistake(
        id="train-step-twice",
        component=PART,
        old=_STEP,
        new=(
            "train_step(model, batches, optimizer, max_grad_norm=max_grad_norm, "
            "loss=loss)\n"
            "        result = train_step(model, batches, optimizer, "
            "max_grad_norm=max_grad_norm, loss=loss)"
        ),
        sentence="makes every step twice",
        hints=_ARGUMENTS_HINTS,
    ),
    Mistake(
        id="train-same-batches",
        component=PART,
        old=_LOOP,
        new=(
            "first = None\n"
            "    for step, batches in enumerate(steps):\n"
            "        first = batches = first or batches"
        ),
        sentence="trains on the first step's batches again and again",
        hints=_ARGUMENTS_HINTS,
    ),
    Mistake(
        id="train-rate-of-zero-kept-out",
        component=PART,
        old=_SET,
        new=(
            "        for group in optimizer.param_groups if rate else []:\n"
            '            group["lr"] = rate\n'
        ),
        sentence="sets no rate of 0, so that the step uses the last one",
        hints=_RATES_HINTS,
    ),
    Mistake(
        id="train-skips-first",
        component=PART,
        old=_STEP,
        new=(
            "if step == 0:\n"
            "            continue\n"
            "        result = train_step(model, batches, optimizer, "
            "max_grad_norm=max_grad_norm, loss=loss)"
        ),
        sentence="leaves out the first step",
        hints=_LAZY_HINTS,
    ),
    Mistake(
        id="train-every-second-record",
        component=PART,
        old=_RECORD,
        new=(
            "if step % 2 == 0:\n"
            "            yield TrainRecord(step + 1, result.loss, result.grad_norm, "
            "rate, tokens)"
        ),
        sentence="gives every second record only",
        hints=_LAZY_HINTS,
    ),
    Mistake(
        id="train-updates-again",
        component=PART,
        old=_TOKENS,
        new=f"        optimizer.step()\n{_TOKENS}",
        sentence="updates the weights once more after train_step, which has done it",
        hints=_ARGUMENTS_HINTS,
    ),
    Mistake(
        id="train-yields-after-the-loop",
        component=PART,
        old=f"{_TOKENS}        {_RECORD}",
        new=f"{_TOKENS}    {_RECORD}",
        sentence="yields one record, after the loop instead of in it",
        hints=_LAZY_HINTS,
    ),
    Mistake(
        id="train-counts-itself",
        component=PART,
        old=_LOOP,
        new="for step, batches in zip(range(10**9), steps):",
        sentence="counts with zip",
        equivalent=True,
    ),
    Mistake(
        id="train-ignores-loss",
        component=PART,
        old=_STEP,
        new="result = train_step(model, batches, optimizer, max_grad_norm=max_grad_norm)",
        sentence="takes loss= and does not pass it on",
        hints=_ARGUMENTS_HINTS,
    ),
]
