"""Observe the replies of small models, and compute the same with the part `generate`."""

from functools import cache, partial
from types import ModuleType

import torch
from torch import Tensor, nn

from gpt2_small import binding
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.probes import draws
from gpt2_small.checker.claims.observing.refusals import ending


class Next(nn.Module):
    """A model that predicts the next token from a table; dropout would change it."""

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


PROMPTS = {
    "that ends": ([8, 9, 20], 10),
    "of at most 2 tokens": ([8, 9, 20], 2),
    "of at most 0 tokens": ([20], 0),
    "where the user would speak": ([2, 2, 4], 10),
    "without an end": ([18, 6], 5),
    "after a prompt with an end in it": ([19, 18, 20], 3),
}


def replied(module: ModuleType, _seed: int) -> Observation:
    found = {}
    for name, (prompt, longest) in PROMPTS.items():
        said = module.reply(Next(), torch.tensor(prompt), (19, 18), longest)
        found[f"the reply {name}"] = str([int(each) for each in said])
    return found


@cache
def small_model() -> nn.Module:
    """Return a GPT-2 with random weights, whose greedy reply does not repeat one token."""
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
    """Return the part `generate`'s result at temperature 0, cut at the first stop."""
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
