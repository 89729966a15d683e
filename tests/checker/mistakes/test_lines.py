"""Test the quoted lines: the first wrong effect or result of a part."""

from pathlib import Path
from typing import Any

import pytest
from checking import check_text, line_of, reference_with
from default_share import few, slowly

from gpt2_small import binding
from gpt2_small.checker.claims.judging.runner import stand_in
from gpt2_small.checker.mistakes.lines.effects import first_effect
from gpt2_small.checker.mistakes.lines.first_wrong_result import locate
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.mistakes.lines.non_output_lines import non_output_line
from gpt2_small.checker.mistakes.lines.quoted_lines import quoted
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.tracing import Trace, cases_of, record

BACKWARD = "            weighted_loss.backward()\n"
UPDATE = "    optimizer.step()\n"
SET = '            group["lr"] = rate\n'


def traces_of(folder: Path, part: str, *edits: tuple[str, str]) -> tuple[str, dict[str, Trace]]:
    """Return the reference's text with edits, and the traces of its part, case by case."""
    text = reference_with(*edits)
    path = folder / "my_gpt2.py"
    path.write_text(text)
    module = binding.load(path)
    stand_in(module, [part])
    return text, {case: record(module, part, 0, case) for case in cases_of(part)}


def done_wrong(part: str, traces: dict[str, Trace], text: str) -> Location | None:
    found = (first_effect.located(part, 0, t, case, text.encode()) for case, t in traces.items())
    return next(filter(None, found), None)


EFFECTS = {
    "an update in the loop": (
        "train_step", (BACKWARD, BACKWARD + "            optimizer.step()  # here\n"),
        "it changes the weights when 1 of 3 micro-batches have been read",
    ),
    "a second update": (
        "train_step", (UPDATE, UPDATE + "    optimizer.step()  # here\n"),
        "it changes the weights once more",
    ),
    "old gradients": (
        "train_step", ("    optimizer.zero_grad()\n" "    losses = []\n", "    losses = []\n"),
        "the gradient is wrong, after 1 of 3 micro-batches",
    ),
    "a loss read after the update": (
        "train_step",
        (UPDATE, UPDATE + "    mean_loss = loss(model, batches[0]).item()  # here\n"),
        "the model reads a micro-batch after the update",
    ),
    "a rate that is multiplied": (
        "train", (SET, '            group["lr"] *= rate  # here\n'),
        "the learning rate of the step is 1.8 instead of 0.2",
    ),
    "a step of the first micro-batch alone": (
        "train", ("train_step(model, batches, optim", "train_step(model, batches[:1], optim"),
        "the micro-batches passed to train_step: 1 instead of 2",
    ),
    "a loss that is halved": (
        "train",
        ("yield TrainRecord(step + 1, result.loss,",
         "mean = result.loss / 2  # here\n        yield TrainRecord(step + 1, mean,"),
        "the loss of a record is",
    ),
    "a group by axes": (
        "parameter_groups",
        ('is_matrix = name.split(".")[-1].startswith("W")',
         'is_matrix = parameter.dim() > 2'),
        "embed.W_E does not decay, and should",
    ),
    "a model left in training mode": (
        "generate", ("    model.eval()\n    try:\n", "    try:\n"),
        "the model reads in training mode",
    ),
    "the first position": (
        "generate", ("                logits[:, -1],\n", "                logits[:, 0],\n"),
        "sample is not given the logits of the last position",
    ),
    "a generator that is not passed on": (
        "generate", ("                generator=generator,\n", ""),
        "sample is not called with the given generator",
    ),
    "swapped fields of a record": (
        "train",
        ("        yield TrainRecord(step + 1, result.loss, result.grad_norm, rate,",
         "        yield TrainRecord(step + 1, result.loss, rate, result.grad_norm,  # here\n"
         "                         "),
        "the grad_norm of a record is 0.2 instead of 8.7663; 0.2 is the learning_rate of a record",
    ),
    "swapped names of a record's fields": (
        "train",
        ("        yield TrainRecord(step + 1, result.loss, result.grad_norm, rate,",
         "        loss, grad_norm = result.grad_norm, result.loss  # here\n"
         "        yield TrainRecord(step + 1, loss, grad_norm, rate,"),
        "8.7663 is the grad_norm of a record",
    ),
    "swapped fields of a step's result, returned later": (
        "train_step",
        ("    return StepResult(mean_loss, grad_norm, tokens)\n",
         "    result = StepResult(grad_norm, mean_loss, tokens)  # here\n    return result\n"),
        "the loss is 8.5358 instead of 8.5864; 8.5358 is the grad_norm",
    ),
    "progress over all steps": (
        "learning_rate",
        ("(step - peak_step) / (last_step - peak_step)", "step / last_step"),
        "progress is 0.1795 there",
    ),
    "a cosine one step late": (
        "learning_rate",
        ("peak_step, last_step = max(warmup_steps - 1, 0), total_steps - 1",
         "peak_step, last_step = warmup_steps, total_steps"),
        "progress is 0 there",
    ),
    "a rank for the token": (
        "sample",
        ("    return token_of_rank.gather(dim=-1, index=rank).squeeze(-1)\n",
         "    return rank.squeeze(-1)  # here\n"),
        "it returns the drawn rank among the sorted tokens, not the token",
    ),
    "a seed of its own": (
        "sample",
        ("    rank = torch.multinomial(",
         "    generator = generator or torch.Generator().manual_seed(1)  # here\n"
         "    rank = torch.multinomial("),
        "a generator of its own, where none was given",
    ),
    "a random number for all rows": (
        "sample",
        ("    rank = torch.multinomial(probabilities, num_samples=1, generator=generator)\n",
         "    number = torch.rand(1, generator=generator)  # here\n"
         "    sums = (probabilities / probabilities.sum(-1, keepdim=True)).cumsum(-1)\n"
         "    rank = (sums < number).sum(-1, keepdim=True)\n"),
        "1 random number is drawn for 24 rows of logits",
    ),
    "a column of tokens": (
        "sample",
        ("    return token_of_rank.gather(dim=-1, index=rank).squeeze(-1)\n",
         "    return token_of_rank.gather(dim=-1, index=rank)  # here\n"),
        "for 24 rows of logits the result has the shape [24 1]",
    ),
    "most likely tokens over the batch": (
        "sample",
        ("        return logits.argmax(dim=-1)\n", "        return logits.argmax(dim=0)  # here\n"),
        "for 24 rows of logits the result has the shape [7]",
    ),
    "tokens in front": (
        "generate",
        ('tokens = torch.cat([tokens, rearrange(next_token, "batch -> batch 1")], dim=1)',
         "tokens = torch.cat([next_token[:, None], tokens], dim=1)  # here"),
        "the model's input is not the last n_ctx tokens in their order",
    ),
    "a token that replaces the last": (
        "generate",
        ("tokens = torch.cat([tokens, rearrange(",
         "tokens = tokens[:, :-1]\n            tokens = torch.cat([tokens, rearrange("),
        "the number of tokens that the model reads is 10 instead of 11",
    ),
    "one row of logits": (
        "generate",
        ("            next_token = sample(\n                logits[:, -1],",
         "            logits = logits[:1, -1].expand(1, -1)  # here\n"
         "            next_token = sample(\n                logits,"),
        "sample is given the last position's logits of 1 row only",
    ),
    "a fixed decay": (
        "parameter_groups",
        ('{"params": matrices, "weight_decay": weight_decay},',
         '{"params": matrices, "weight_decay": 0.1},  # here'),
        "embed.W_E decays with 0.1 instead of 0.3",
    ),
    "a list that is both groups": (
        "parameter_groups",
        ("    matrices: list[nn.Parameter] = []\n    vectors: list[nn.Parameter] = []\n",
         "    matrices = vectors = []  # here\n"),
        "both groups have the same list",
    ),
    "an iterator that is read twice": (
        "parameter_groups",
        ("    return [\n        {\"params\": matrices,",
         "    named = model.named_parameters()\n"
         "    matrices = [p for name, p in named if \"W_\" in name]\n"
         "    vectors = [p for name, p in named if \"W_\" not in name]  # here\n"
         "    return [\n        {\"params\": matrices,"),
        "has already used up the iterator named",
    ),
    "parameters in lists of a list of groups": (
        "parameter_groups",
        ("    matrices: list[nn.Parameter] = []\n",
         "    groups = [{\"params\": [], \"weight_decay\": d} for d in (weight_decay, 0.0)]\n"
         "    for name, parameter in model.named_parameters():\n"
         "        groups[\"b\" in name][\"params\"].append(parameter)  # here\n"
         "    return groups\n    matrices: list[nn.Parameter] = []\n"),
        "embed.W_E does not decay, and should",
    ),
    "a norm without its root": (
        "train_step",
        ("    grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item()\n",
         "    gradients = [p.grad for p in model.parameters() if p.grad is not None]\n"
         "    norm = torch.stack([(g * g).sum() for g in gradients]).sum()  # here\n"
         "    for gradient in gradients:\n"
         "        gradient.mul_(max_grad_norm / norm)\n"
         "    grad_norm = norm.item()\n"),
        "is the square of the gradient's norm",
    ),
    "tokens that are no targets": (
        "train_step",
        ("    tokens = sum(batch[:, 1:].numel() for batch in batches)\n",
         "    tokens = sum(batch.numel() for batch in batches)  # here\n"),
        "it counts 65 tokens instead of 58",
    ),
    "steps that are taken ahead": (
        "train",
        ("    tokens = 0\n    for step, batches",
         "    tokens = 0\n    steps = list(steps)  # here\n    for step, batches"),
        "it takes a second step from the iterable before the first one is made",
    ),
    "a rate that no group gets": (
        "train",
        ('        rate = schedule(step)\n        for group in optimizer.param_groups:\n' + SET,
         "        rate = optimizer.lr = schedule(step)  # here\n"),
        "no group gets the schedule's rate, so the learning rate of the step is 9 instead of 0.2",
    ),
    "a rate that every group asks for": (
        "train",
        ("        rate = schedule(step)\n        for group in optimizer.param_groups:\n" + SET,
         "        for group in optimizer.param_groups:\n"
         "            group[\"lr\"] = schedule(step)\n"
         "        rate = schedule(step + 1)  # here\n"),
        "it asks the schedule for step 3",
    ),
    "a group without a decay": (
        "parameter_groups", ('"weight_decay": 0.0}', '}  # here'),
        "has no weight_decay",
    ),
    "a return in the loop": (
        "generate",
        ('tokens = torch.cat([tokens, rearrange(next_token, "batch -> batch 1")], dim=1)',
         "tokens = torch.cat([tokens, next_token[:, None]], dim=1)\n"
         "            return tokens  # here"),
        "after 1 of 5 new tokens it ends",
    ),
    "an iterator that a helper reads twice": (
        "train_step",
        ("    grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item()\n",
         "    def clipped(parameters, most):\n"
         "        norm = sum((p.grad ** 2).sum() for p in parameters).sqrt()\n"
         "        for p in parameters:  # here\n"
         "            p.grad *= most / norm\n"
         "        return norm.item()\n\n"
         "    grad_norm = clipped(model.parameters(), max_grad_norm)\n"),
        "has already used up the iterator parameters",
    ),
    "a rate beside constants in a comprehension": (
        "learning_rate",
        ("        return peak * (step + 1) / warmup_steps\n",
         "        points = [int(p * total_steps) for p in (0.6, 0.9)]\n"
         "        return peak * (step + 1 / warmup_steps)  # here\n"),
        "for step 1 it returns",
    ),
    "an update after train_step": (
        "train",
        ("        tokens += result.tokens\n",
         "        optimizer.step()  # here\n        tokens += result.tokens\n"),
        "it updates the weights outside of train_step",
    ),
}  # fmt: skip


SLOWLY_FOUND = (
    "a second update",
    "a loss read after the update",
    "an iterator that a helper reads twice",
)


@pytest.mark.parametrize("name", few((e for e in EFFECTS if e not in SLOWLY_FOUND), EFFECTS))
def test_the_first_wrong_effect_of_a_function_is_reported_with_its_line(
    tmp_path: Path, name: str
) -> None:
    part, edit, said = EFFECTS[name]
    text, traces = traces_of(tmp_path, part, edit)
    found = done_wrong(part, traces, text)
    assert found is not None
    assert said in found.sentence()
    if "# here" in text:
        assert found.differs == line_of(text, "# here")


def test_tokens_drawn_without_sample_are_not_compared_with_other_draws(tmp_path: Path) -> None:
    own_draw = "next_token = torch.multinomial(logits[:, -1].softmax(-1), 1)[:, 0]\n            id("
    text, traces = traces_of(tmp_path, "generate", ("next_token = sample(", own_draw))
    assert done_wrong("generate", traces, text) is None


@pytest.mark.parametrize("part", [part for part in PARTS if part[0].islower()])
def test_the_reference_has_no_wrong_effect(tmp_path: Path, part: str) -> None:
    text, traces = traces_of(tmp_path, part)
    assert done_wrong(part, traces, text) is None
    if part in ("next_token_loss", "sample"):
        assert [locate(part, 0, t, c) for c, t in traces.items() if c != "no generator"] == (
            [None] * (len(traces) - (part == "sample"))
        )


RESULTS: dict[str, tuple[Any, ...]] = {
    "a head's keys for all": (
        "MultiHeadAttention", "",
        ("key = self.hook_k(einsum(residual, self.W_K, project) + self.b_K)",
         "key = (residual @ self.W_K[0] + self.b_K[0])[:, :, None]  # here\n"
         "        key = key.expand(-1, -1, 3, -1)"),
    ),
    "positions left out": (
        "Transformer", "",
        ("residual = self.embed_dropout(embed + pos_embed)",
         "residual = self.embed_dropout(embed)  # here"),
    ),
    "scores doubled after an accumulator of zeros": (
        "MultiHeadAttention", "",
        ("        mask = similarity.new_full(",
         "        output = residual * 0\n        mask = similarity.new_full("),
        ("scores = similarity + mask", "scores = 2 * similarity + mask  # here"),
        ("output = einsum(\n            self.hook_z(z)",
         "output += einsum(\n            self.hook_z(z)"),
    ),
    "an inner factor after half of the input": (
        "MLP", "",
        ("        post = self.hook_post(gelu_tanh(self.hook_pre(pre)))\n",
         "        half = 0.5 * pre\n"
         "        inner = (0.8 * (pre + 0.5 * pre**3)).tanh()  # here\n"
         "        post = half * (1 + inner)\n"),
    ),
    "a small number in the logarithm": (
        "next_token_loss", "sure logits",
        ("    return F.cross_entropy(\n",
         "    p = predictions.softmax(-1).gather(-1, targets.unsqueeze(-1))\n"
         "    if p.numel():\n        return -(p + 1e-8).log().mean()  # here\n"
         "    return F.cross_entropy(\n"),
    ),
    "a temperature after the cuts": (
        "sample", "",
        ("(relative / temperature).sort(dim=-1, descending=True)",
         "relative.sort(dim=-1, descending=True)"),
        ("    probabilities = descending.softmax(dim=-1)\n    if top_p",
         "    probabilities = descending.softmax(dim=-1)  # here\n    if top_p"),
        ("    rank = torch.multinomial(probabilities, num_",
         "    cut = descending.masked_fill(probabilities == 0, -math.inf)\n"
         "    probabilities = (cut / temperature).softmax(dim=-1)\n"
         "    rank = torch.multinomial(probabilities, num_"),
    ),
    "a low temperature for 0": (
        "sample", "greedy",
        ("    if temperature == 0:\n        return logits.argmax(dim=-1)\n",
         "    logits = logits / max(temperature, 2.0)  # here\n"
         "    return torch.multinomial(logits.softmax(-1), 1).squeeze(-1)\n"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_the_first_wrong_result_is_found_in_a_case_that_differs(tmp_path: Path, name: str) -> None:
    part, case, *edits = RESULTS[name]
    text, traces = traces_of(tmp_path, part, *edits)
    found = locate(part, 0, traces[case], case)
    assert found is not None
    assert found.differs == line_of(text, "# here")


MULTIPLES = {
    "a sum that is divided by another count": (
        "LayerNorm",
        ('reduce(centered.square(), "batch seq d_model -> batch seq 1", "mean")',
         "centered.square().sum(-1, keepdim=True) / 11"),
        "the variance, 2.182 times what it should be",
    ),
    "a sum that nothing divides": (
        "LayerNorm",
        ('reduce(centered.square(), "batch seq d_model -> batch seq 1", "mean")',
         "centered.square().sum(-1, keepdim=True)"),
        "the variance, 24 times what it should be",
    ),
    "a right result that is multiplied": (
        "Transformer", ("self.embed_dropout(embed + ", "self.embed_dropout(embed * 4 + "),
        "it multiplies the token embedding by 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MULTIPLES)
def test_a_multiple_of_a_result_is_described_by_its_last_factor(tmp_path: Path, name: str) -> None:
    part, edit, said = MULTIPLES[name]
    _, traces = traces_of(tmp_path, part, edit)
    found = locate(part, 0, traces[""])
    assert found is not None
    assert found.differs_is == said


ELSEWHERE = {
    "statistics without gradient": (
        "LayerNorm", "gradient",
        ("        centered = residual - red", "        residual = residual.detach()  # here\n"
         "        centered = residual - red"),
    ),
    "scores that are dropped": (
        "MultiHeadAttention", "dropout",
        ("        scores = similarity + mask\n",
         "        scores = self.pattern_dropout(similarity) + mask  # here\n"),
    ),
    "dropout in evaluation": (
        "MLP", "dropout",
        ("post = self.hook_post(", "pre = F.dropout(pre, self.output_dropout.p)  # here\n"
         "        post = self.hook_post("),
    ),
    "tokens that are cropped": (
        "Transformer", "refusals",
        ("        embed = self.hook_embed(self.embed(tokens))\n",
         "        tokens = tokens[:, -12:]  # here\n"
         "        embed = self.hook_embed(self.embed(tokens))\n"),
    ),
    "positions that are clamped": (
        "PositionalEmbedding", "refusals",
        ('        return repeat(self.W_pos[:seq], "seq d_model',
         "        rows = torch.arange(seq).clamp(max=11)  # here\n"
         '        return repeat(self.W_pos[rows], "seq d_model'),
        ("        if seq > self.n_ctx:\n            raise ValueError(f\"{seq} tokens do not",
         "        if seq > 99:\n            raise ValueError(f\"{seq} tokens do not"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_wrong_line_outside_the_functions_result_is_found(tmp_path: Path, name: str) -> None:
    part, group, *edits = ELSEWHERE[name]
    text, traces = traces_of(tmp_path, part, *edits)
    assert non_output_line(group, part, 0, "", traces, text) == line_of(text, "# here")


@pytest.mark.parametrize("part", [part for part in PARTS if part[0].isupper()])
def test_no_line_is_found_in_the_reference(tmp_path: Path, part: str) -> None:
    text, traces = traces_of(tmp_path, part)
    assert [locate(part, 0, t, c) for c, t in traces.items() if c in ("", "untied")] in (
        [None], [None, None],
    )  # fmt: skip
    groups = ("gradient", "dropout", "inputs", "device", "refusals")
    assert [non_output_line(g, part, 0, "", traces, text) for g in groups if g != "device"] == (
        [None] * 4
    )


@pytest.mark.parametrize(
    ("part", "edit", "quoted", "mistake"),
    [
        (
            "parameter_groups",
            ('is_matrix = name.split(".")[-1].startswith("W")', "is_matrix = parameter.dim() > 2"),
            "(matrices if is_matrix else vectors).append(parameter)",
            "parameter-groups-three-axes",
        ),
        slowly(
            (
                "train_step",
                (BACKWARD, BACKWARD + "            optimizer.step()\n"),
                "optimizer.step()",
                "train-step-updates-each-batch",
            )
        ),
    ],
)
def test_the_screen_quotes_the_line_of_a_wrong_effect(
    tmp_path: Path, part: str, edit: tuple[str, str], quoted: str, mistake: str
) -> None:
    report = check_text(tmp_path, reference_with(edit), part).reports[part]
    sentence, code = report.location
    assert "The error begins in line" in sentence
    assert code.endswith(f"| {quoted}")
    assert report.mistakes == (mistake,)


def test_for_a_returned_tuple_the_return_line_is_quoted(tmp_path: Path) -> None:
    text = reference_with(("        return self.hook_resid_post(resid_mid + mlp_out)\n",
                           "        return resid_mid + mlp_out, None\n"))  # fmt: skip
    location = check_text(tmp_path, text, "TransformerBlock").reports["TransformerBlock"].location
    assert location[-1].endswith("| return resid_mid + mlp_out, None")


IN_PLACE = (
    "    relative = logits.float() - logits.amax(dim=-1, keepdim=True)\n",
    "    relative = logits.sub_(logits.amax(dim=-1, keepdim=True))\n",
)


def test_the_line_of_another_failed_claim_is_quoted_with_the_claims_name(tmp_path: Path) -> None:
    edits = (IN_PLACE, ("return logits.argmax(dim=-1)", "return 0 * logits.argmax(dim=-1)"))
    location = check_text(tmp_path, reference_with(*edits), "sample").reports["sample"].location
    assert location[0].startswith('"The logits are not modified in place" fails because of line ')


def test_a_draw_without_the_generator_is_quoted_beside_an_operation_in_place(
    tmp_path: Path,
) -> None:
    text = reference_with(IN_PLACE, ("num_samples=1, generator=generator", "num_samples=1"))
    sentence, code = check_text(tmp_path, text, "sample").reports["sample"].location
    assert "it does not draw from the given generator" in sentence
    assert "multinomial" in code


STRICTLY_ABOVE = (
    "descending[:, top_k:] = -math.inf",
    "kth = descending[:, min(top_k, descending.shape[1]) - 1, None]\n"
    "        descending = descending.masked_fill(descending <= kth, -math.inf)  # here",
)
TOO_LARGE_K = (
    "descending[:, top_k:] = -math.inf",
    "kth = descending.topk(top_k).values[:, -1:]  # here\n"
    "        descending = descending.masked_fill(descending < kth, -math.inf)",
)
BELOW_P = ("probability_of_better_ranks >= top_p", "(probability_of_better_ranks + 0.1) >= top_p")


def test_the_heading_has_the_quoted_line_where_an_exception_follows_from_it(tmp_path: Path) -> None:
    text = reference_with(STRICTLY_ABOVE)
    verdict = check_text(tmp_path, text, "sample")
    raised = [one for one in verdict.results if one.message.startswith("RuntimeError")]
    assert {one.line for one in raised} == {line_of(text, "# here")}


def test_a_later_wrong_line_is_not_given_as_an_exceptions_reason(tmp_path: Path) -> None:
    text = reference_with(TOO_LARGE_K, BELOW_P)
    verdict = check_text(tmp_path, text, "sample")
    first = next(result for result in verdict.results if result.status == "failed")
    assert first.line == line_of(text, "# here")
    assert (
        verdict.reports["sample"].location[0].startswith('"top_p keeps the token that crosses p"')
    )


def test_the_line_after_which_a_schedule_returns_nothing_is_quoted(tmp_path: Path) -> None:
    text = reference_with(("    return final + (peak", "    rate = final + (peak"))
    report = check_text(tmp_path, text, "learning_rate").reports["learning_rate"]
    assert report.location[-1].split("| ")[1].startswith("rate = final")


def test_a_refusal_of_a_valid_schedule_is_quoted_itself(tmp_path: Path) -> None:
    text = reference_with(("if not 0 <= warmup_steps <= total", "if not 0 < warmup_steps <= total"))
    report = check_text(tmp_path, text, "learning_rate").reports["learning_rate"]
    assert report.location[-1].split("| ")[1].startswith("raise ValueError(")


def test_an_error_in_the_middle_of_generate_does_not_end_it_early(tmp_path: Path) -> None:
    text, traces = traces_of(
        tmp_path, "generate", ("logits[:, -1],", "logits[:, tokens.shape[1] - 1],")
    )
    assert done_wrong("generate", traces, text) is None


def test_sampling_row_by_row_is_no_wrong_effect_of_generate(tmp_path: Path) -> None:
    rows = (
        "torch.cat([sample(row[None], temperature=temperature, top_k=top_k, top_p=top_p, "
        "generator=generator) for row in logits[:, -1]])\n            id("
    )
    text, traces = traces_of(
        tmp_path, "generate", ("next_token = sample(\n", f"next_token = {rows}\n")
    )
    assert done_wrong("generate", traces, text) is None


def test_a_token_before_an_error_in_the_next_line_is_not_called_wrong(tmp_path: Path) -> None:
    text = reference_with(('rearrange(next_token, "batch -> batch 1")', "next_token[None, :]"))
    location = check_text(tmp_path, text, "generate").reports["generate"].location
    assert location[-1].endswith("| tokens = torch.cat([tokens, next_token[None, :]], dim=1)")


RETURNED_BY_NAME = """
import math

def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    count = step + 1
    if count <= warmup_steps:
        rate = peak * count / warmup_steps
    else:
        done = (count - warmup_steps) / (total_steps - warmup_steps)
        rate = 0.5 * peak * (1 + math.cos(math.pi * done))  # here
    return rate
"""


def test_a_right_progress_without_an_end_is_not_quoted_for_a_wrong_rate(tmp_path: Path) -> None:
    location = check_text(tmp_path, RETURNED_BY_NAME, "learning_rate").reports["learning_rate"]
    assert location.location[-1].endswith("# here")


def test_probabilities_sorted_upwards_are_right_results_of_sample(tmp_path: Path) -> None:
    text = SORTED_UPWARDS.replace("REMOVED", "shares.cumsum(-1) <= top_p")
    location = check_text(tmp_path, text, "sample").reports["sample"].location
    assert location[-1].endswith("removed = shares.cumsum(-1) <= top_p")


SORTED_UPWARDS = """
import torch

def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError("no such option")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError("no such option")
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits / temperature
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1]))[0][:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p is not None:
        upwards, tokens = logits.sort(dim=-1)
        shares = upwards.softmax(-1)
        removed = REMOVED
        removed[:, -1] = False
        logits = logits.masked_fill(removed.gather(-1, tokens.argsort(-1)), -torch.inf)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
"""


@pytest.mark.parametrize("separator", ["\u2028", "\x0c"])
def test_only_pythons_line_ends_count_in_a_quoted_line(separator: str) -> None:
    source = f"x = 'a{separator}b'\r\ny = 1\nz = 2\n".encode()
    location = Location(agrees=None, agrees_is="", differs=3, differs_is="")
    assert quoted(location, source)[1] == "     3 | z = 2"
