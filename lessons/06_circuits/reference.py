"""Circuits: read a model's activations, replace them, and decode them.

A model is a `Transformer` of `solution.py`, or of a learner. Its activations pass through taps:
identity modules with TransformerLens's names, such as `blocks.0.attn.hook_pattern`.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def run_with_cache(
    model: nn.Module, tokens: Int[Tensor, "batch seq"]
) -> tuple[Float[Tensor, "batch seq d_vocab"], dict[str, Tensor]]:
    """Run the model; return its logits, and the activation of every tap, detached, by its name.

    Taps are the submodules whose last name begins with `hook_`. Nothing of the model is changed:
    the logits keep their gradient, and no hook is left, also when the model raises.
    """
    cache: dict[str, Tensor] = {}

    def storing(name: str) -> Callable[..., None]:
        def store(_tap: nn.Module, _inputs: object, activation: Tensor) -> None:
            cache[name] = activation.detach()

        return store

    handles = [
        module.register_forward_hook(storing(name))
        for name, module in model.named_modules()
        if name.split(".")[-1].startswith("hook_")
    ]
    try:
        logits = model(tokens)
    finally:
        for handle in handles:
            handle.remove()
    return logits, cache


def patched_logits(
    model: nn.Module,
    tokens: Int[Tensor, "batch seq"],
    name: str,
    position: int,
    value: Float[Tensor, "batch ..."],
) -> Float[Tensor, "batch seq d_vocab"]:
    """The logits of a run in which the activation at a tap and a position is replaced.

    This is activation patching, or causal tracing (Vig et al. 2020, "Investigating Gender Bias in
    Language Models Using Causal Mediation Analysis", section 3; Meng et al. 2022, "Locating and
    Editing Factual Associations in GPT", section 2.1). The hook is removed at the end, also when
    the model raises, and `value` is not changed.

    name: of a tap whose activation is [batch seq ...].
    position: of the activation that is replaced, by `value`, in every row of the batch.
    """

    def replace(_tap: nn.Module, _inputs: object, activation: Tensor) -> Tensor:
        patched = activation.clone()
        patched[:, position] = value
        return patched

    handle = model.get_submodule(name).register_forward_hook(replace)
    try:
        logits: Tensor = model(tokens)
    finally:
        handle.remove()
    return logits


def patching_map(
    model: nn.Module,
    clean: Int[Tensor, "batch seq"],
    corrupted: Int[Tensor, "batch seq"],
    score: Callable[[Float[Tensor, "batch seq d_vocab"]], Tensor],
) -> Float[Tensor, "layer seq"]:
    """The share of the score restored by patching one clean activation into the corrupted run.

    The activations are the residual streams before each block (`hook_resid_pre`), one layer and one
    position at a time, patched into the corrupted run. 0 is the corrupted run's score, 1 the clean
    run's.

    score: a number, as a tensor, for logits.
    """
    with torch.no_grad():
        clean_logits, cache = run_with_cache(model, clean)
        worst, best = score(model(corrupted)), score(clean_logits)
        names = [name for name in cache if name.endswith("hook_resid_pre")]
        rows = []
        for name in names:
            row = []
            for position in range(clean.shape[1]):
                value = cache[name][:, position]
                row.append(score(patched_logits(model, corrupted, name, position, value)))
            rows.append(torch.stack(row))
    return (torch.stack(rows) - worst) / (best - worst)


def logit_lens(
    model: nn.Module, cache: dict[str, Tensor]
) -> Float[Tensor, "layer batch seq d_vocab"]:
    """The logits that the model would give if it ended after no block, after the first, and so on.

    Every residual stream (that before the first block, and that after each) goes through the final
    norm and the unembedding: n_layers + 1 of them, of which the last are the model's own logits
    (nostalgebraist 2020, "interpreting GPT: the logit lens"). A tied model unembeds with the
    transposed `embed.W_E`; its `unembed` is None.

    cache: the activations of a run, by name.
    """
    streams = [cache["blocks.0.hook_resid_pre"]]
    streams += [cache[f"blocks.{layer}.hook_resid_post"] for layer in range(len(model.blocks))]
    final = model.ln_final(torch.stack(streams).flatten(end_dim=1))
    logits = final @ model.embed.W_E.T if model.unembed is None else model.unembed(final)
    return logits.unflatten(0, (len(streams), -1))


def induction_scores(
    pattern: Float[Tensor, "batch head seq_q seq_k"], tokens: Int[Tensor, "batch seq"]
) -> Float[Tensor, "head"]:
    """The share of its attention that each head pays to tokens after earlier copies of its token.

    A query's token may have occurred earlier, once or several times; the keys right after those
    occurrences are added up (the prefix matching of Olsson et al. 2022, "In-context Learning and
    Induction Heads"). The mean is over the queries whose token has occurred earlier, of all rows
    together.

    Raises ValueError when no row has a token that occurs twice.
    """
    seq = tokens.shape[1]
    same = tokens[:, :, None] == tokens[:, None, :]
    before = torch.ones(seq, seq, dtype=torch.bool).tril(diagonal=-1)
    occurred = same & before
    if not occurred.any():
        raise ValueError("no row has a token that occurs twice; give tokens that repeat")
    followed = torch.zeros_like(occurred)
    followed[:, :, 1:] = occurred[:, :, :-1]
    paid = (pattern * followed[:, None]).sum(dim=-1)
    is_asked = occurred.any(dim=-1)
    return paid.transpose(1, 2)[is_asked].mean(dim=0)
