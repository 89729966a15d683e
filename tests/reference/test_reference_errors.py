"""Test the reference's errors: the value and a remedy; a learner's may differ."""

import math

import pytest
import torch
from bigram import Bigram, adamw, windows
from strategies import SMALL

import gpt2_small
from gpt2_small import binding

reference = gpt2_small.load(binding.reference_path())
TRANSFORMER = SMALL.build(reference, "Transformer")
PLAN = {"step": 3, "peak": 1.0, "warmup_steps": 10, "total_steps": 100}


def loss(batch, seq, seq_tokens):
    tokens = torch.zeros(batch, seq_tokens, dtype=torch.long)
    return lambda: reference.next_token_loss(torch.zeros(batch, seq, 29), tokens)


def step(model, batches=None, **options):
    batches = windows(0, (2, 5)) if batches is None else batches
    return lambda: reference.train_step(model, batches, adamw(model), **options)


def poisoned():
    model = Bigram()
    model.W.data[:] = math.nan
    return model


CALLS = {
    "positions": (
        lambda: TRANSFORMER.pos_embed(torch.zeros(1, 13).long()),
        "13 tokens.*n_ctx = 12",
    ),
    "tokens": (lambda: TRANSFORMER(torch.zeros(1, 13).long()), "13 tokens.*n_ctx = 12"),
    "lengths": (loss(2, 5, 7), "5 positions.*7 tokens"),
    "a single token": (loss(2, 1, 1), "2 rows of 1 tokens have no target"),
    "no rows": (loss(0, 4, 5), "0 rows of 5 tokens have no target"),
    "temperature": (lambda: reference.sample(torch.zeros(2, 7), temperature=-1.0), "is -1.0"),
    "top_k": (lambda: reference.sample(torch.zeros(2, 7), top_k=0), "top_k is 0"),
    "top_p": (lambda: reference.sample(torch.zeros(2, 7), top_p=math.nan), "top_p is nan"),
    "prompt": (lambda: reference.generate(TRANSFORMER, torch.zeros(2, 0).long(), 3), "prompt is"),
    "new tokens": (lambda: reference.generate(TRANSFORMER, torch.ones(2, 1).long(), -2), "is -2"),
    "peak": (lambda: reference.learning_rate(**{**PLAN, "peak": math.inf}), "peak is inf"),
    "warm-up": (lambda: reference.learning_rate(**{**PLAN, "warmup_steps": 101}), "is 101"),
    "micro-batches": (step(Bigram(), []), "at least one micro-batch"),
    "norm": (step(Bigram(), max_grad_norm=math.nan), "max_grad_norm is nan"),
    "not finite": (step(poisoned()), "the loss is nan.*lower learning rate"),
}


@pytest.mark.parametrize("what", CALLS)
def test_the_references_errors_contain_the_value_and_the_way_out(what):
    call, words = CALLS[what]
    with pytest.raises((ValueError, FloatingPointError), match=words):
        call()
