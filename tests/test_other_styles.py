"""Correct solutions that are written otherwise, without taps: every claim has to accept them."""

import importlib
import inspect
import re
from collections import ChainMap
from itertools import product

import pytest

import gpt2_small
from gpt2_small import binding

pytestmark = pytest.mark.slow

FILES = ("config", "layer_norm", "embedding", "positional_embedding", "attention", "mlp", "block")
FILES += ("unembedding", "transformer", "loss", "sampling", "generation", "schedule")
FILES += ("parameter_groups", "train_step", "train")

BY_HAND = {
    "LayerNorm.forward": """
        mean, variance = residual.mean(-1, True), residual.var(-1, correction=0, keepdim=True)
        return self.b + self.w * ((residual - mean) * torch.rsqrt(variance + self.eps))
""",
    "Embedding.forward": """
        return F.one_hot(tokens, len(self.W_E)).to(self.W_E.dtype) @ self.W_E
""",
    "PositionalEmbedding.forward": """
        if tokens.shape[1] > self.n_ctx:
            raise ValueError(f"at most {self.n_ctx} tokens, not {tokens.shape[1]}")
        positions = torch.arange(tokens.shape[-1], device=tokens.device)
        return self.W_pos[positions].unsqueeze(0).expand(tokens.shape[0], -1, -1)
""",
    "MultiHeadAttention.forward": """
        q, k, v = (
            torch.einsum("bpm,hme->bhpe", residual, W) + b.unsqueeze(1)
            for W, b in ((self.W_Q, self.b_Q), (self.W_K, self.b_K), (self.W_V, self.b_V))
        )
        seen = torch.ones(q.shape[2], q.shape[2], device=q.device).tril().bool()
        scores = torch.where(seen, q @ k.mT / self.d_head**0.5, torch.finfo(q.dtype).min)
        heads = self.pattern_dropout(scores.softmax(-1)) @ v @ self.W_O
        return self.output_dropout(heads.sum(1) + self.b_O)
""",
    "gelu_tanh": """
    inner = (2 / math.pi) ** 0.5 * (pre + 0.044715 * pre * pre * pre)
    return pre / 2 * (1 + inner.tanh())
""",
    "MLP.forward": """
        hidden = gelu_tanh(F.linear(residual, self.W_in.T, self.b_in))
        return self.output_dropout(hidden @ self.W_out + self.b_out)
""",
    "TransformerBlock.forward": """
        residual = residual + self.attn(self.ln1(residual))
        return residual + self.mlp(self.ln2(residual))
""",
    "Unembedding.forward": """
        return residual @ self.W_U + self.b_U
""",
    "Transformer.forward": """
        residual = self.embed_dropout(self.embed(tokens) + self.pos_embed(tokens))
        for layer in range(self.config.n_layers):
            residual = self.blocks[layer](residual)
        if self.unembed is None:
            return F.linear(self.ln_final(residual), self.embed.W_E)
        return self.unembed(self.ln_final(residual))
""",
    "next_token_loss": """
    extra = tokens.shape[1] - logits.shape[1]
    if extra not in (0, 1) or tokens[:, 1:].numel() == 0:
        rows, length = tokens.shape
        raise ValueError(f"{rows} rows of {length} tokens do not fit {logits.shape[1]} logits")
    used = logits if extra else logits[:, :-1]
    right = used.gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)
    return (used.logsumexp(-1) - right).mean()
""",
    "sample": """
    if not temperature >= 0:
        raise ValueError(f"temperature {temperature} is below 0")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k {top_k} keeps nothing")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p {top_p} is no probability")
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits.double() / temperature
    if top_k is not None:
        worst = logits.topk(min(top_k, logits.shape[-1]), -1).values[:, -1:]
        logits = logits.masked_fill(logits < worst, -math.inf)
    if top_p is not None:
        probabilities, order = logits.softmax(-1).sort(-1, descending=True)
        dropped = probabilities.cumsum(-1).roll(1, -1) >= top_p
        dropped[:, 0] = False
        dropped = torch.zeros_like(dropped).scatter(-1, order, dropped)
        logits = logits.masked_fill(dropped, -math.inf)
    noise = torch.rand(logits.shape, generator=generator, dtype=logits.dtype)
    return (logits.softmax(-1) / -noise.log()).argmax(-1)
""",
    "generate": """
    if tokens.numel() == 0 or max_new_tokens < 0:
        raise ValueError(f"a prompt of {tokens.shape[1]} tokens and {max_new_tokens} new ones")
    training, n_ctx = model.training, model.config.n_ctx
    output = torch.empty(tokens.shape[0], tokens.shape[1] + max_new_tokens, dtype=tokens.dtype)
    output[:, : tokens.shape[1]] = tokens
    model.eval()
    try:
        for end in range(tokens.shape[1], output.shape[1]):
            last = model(output[:, max(0, end - n_ctx) : end])[:, -1]
            output[:, end] = sample(
                last, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator
            )
    finally:
        model.train(training)
    return output
""",
    "learning_rate": """
    for name, value in (("peak", peak), ("final_fraction", final_fraction)):
        if not 0 <= value < math.inf or (name == "final_fraction" and value > 1):
            raise ValueError(f"{name} is {value}")
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError(f"warmup_steps {warmup_steps} of total_steps {total_steps}")
    done = step + 1
    if done <= warmup_steps:
        return peak * done / warmup_steps
    share = min(1.0, (done - warmup_steps) / max(1, total_steps - warmup_steps))
    height = math.cos(share * math.pi / 2) ** 2
    return peak * (height + final_fraction * (1 - height))
""",
    "parameter_groups": """
    named = dict(model.named_parameters())
    vectors = [p for n, p in named.items() if n.rsplit(".")[-1][0] in "wb"]
    matrices = [p for n, p in named.items() if n.rsplit(".")[-1][0] == "W"]
    decaying = dict(params=matrices, weight_decay=weight_decay)
    return [dict(params=vectors, weight_decay=0.0), decaying]
""",
    "train_step": """
    if len(batches) == 0:
        raise ValueError("no batches")
    if not max_grad_norm > 0:
        raise ValueError(f"max_grad_norm is {max_grad_norm}; it has to be above 0")
    model.zero_grad()
    total = sum(batch.shape[0] * (batch.shape[1] - 1) for batch in batches)
    summed = 0.0
    for number, batch in enumerate(batches):
        model.require_backward_grad_sync = number == len(batches) - 1
        part = loss(model, batch) * batch.shape[0] * (batch.shape[1] - 1)
        part.backward()
        summed += part.item()
    parameters = [p for p in model.parameters() if p.grad is not None]
    for parameter in parameters:
        parameter.grad /= total
    norm = math.sqrt(sum(p.grad.double().square().sum().item() for p in parameters))
    if not math.isfinite(summed + norm):
        raise FloatingPointError(f"loss {summed / total}, gradient {norm}")
    if norm > max_grad_norm:
        for parameter in parameters:
            parameter.grad *= max_grad_norm / norm
    optimizer.step()
    return StepResult(loss=summed / total, grad_norm=norm, tokens=total)
""",
}

BY_TORCH = {
    "LayerNorm.forward": """
        return F.layer_norm(residual, residual.shape[-1:], self.w, self.b, self.eps)
""",
    "Embedding.forward": """
        return F.embedding(tokens, self.W_E)
""",
    "MultiHeadAttention.forward": """
        batch, seq, d_model = residual.shape
        split = lambda W, b: (residual @ W.transpose(0, 1).flatten(1) + b.flatten()).view(
            batch, seq, -1, self.d_head).transpose(1, 2)
        z = F.scaled_dot_product_attention(
            split(self.W_Q, self.b_Q), split(self.W_K, self.b_K), split(self.W_V, self.b_V),
            is_causal=True, dropout_p=self.pattern_dropout.p if self.training else 0.0)
        merged = z.transpose(1, 2).reshape(batch, seq, d_model)
        return self.output_dropout(torch.addmm(
            self.b_O, merged.flatten(0, 1), self.W_O.flatten(0, 1)).view_as(residual))
""",
}


def rewritten(bodies):
    """The reference without taps and with other bodies, docstrings dropped."""
    text = binding.reference_path().read_text()
    for name, body in bodies.items():
        text = with_body(text, name, body)
    text = re.sub(r"\n        self\.hook_\w+ = nn\.Identity\(\)", "", text)
    return re.sub(r"self\.hook_\w+(?=\()", "", text)


def with_body(text, name, body):
    """The text with what follows the signature of a function or method replaced."""
    owner, _, method = name.rpartition(".")
    start = text.index(f"\nclass {owner}(") if owner else 0
    start = text.index(f"def {method}(", start)
    signature_end = re.compile(r"\) -> .*:\n").search(text, start).end()
    block_end = re.compile(r"\n(?=\n\n|@|    def )|\Z").search(text, signature_end).end()
    return text[:signature_end] + body.lstrip("\n") + text[block_end:]


def claims_of(file):
    module = importlib.import_module(f"test_{file}")
    return [claim for name, claim in inspect.getmembers(module) if name.startswith("test_")]


def arguments_of(claim):
    """What the claim is called with beside the solution, once for every set of its parameters."""
    marks = [mark for mark in getattr(claim, "pytestmark", []) if mark.name == "parametrize"]
    choices = []
    for names, values in (mark.args for mark in marks):
        names = names.split(",") if isinstance(names, str) else names
        rows = [value if len(names) > 1 else (value,) for value in values]
        choices.append([dict(zip(names, row, strict=True)) for row in rows])
    return [dict(ChainMap(*chosen)) for chosen in product(*choices)]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("bodies", [BY_HAND, BY_TORCH], ids=["by hand", "by torch"])
def test_a_solution_in_another_style_passes_every_claim(tmp_path, bodies, file):
    path = tmp_path / "other_style.py"
    path.write_text(rewritten(bodies))
    other = gpt2_small.load(path)
    claims = claims_of(file)
    assert claims
    calls = [(claim, arguments) for claim in claims for arguments in arguments_of(claim)]
    for claim, arguments in calls:
        try:
            claim(other, **arguments)
        except pytest.skip.Exception:
            assert not hasattr(other.LayerNorm(other.TransformerConfig()), "hook_scale")
