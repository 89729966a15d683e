"""Make slips that no list has, in right files: whole statements, as learners write them.

A slip is a statement of one part of a file in `right_files`, and what stands there instead. A
teacher would call it by one of its `names`; mostly there is none.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

from gpt2_small.checker.parts import PARTS

FILES = Path(__file__).parent / "right_files"


@dataclass(frozen=True)
class Slip:
    """A statement of a right file's part, and a wrong one in its place.

    names: ids that a teacher might give it.
    """

    part: str
    file: str
    right: str
    wrong: str
    names: tuple[str, ...] = ()

    def text(self) -> str:
        """The file with the slip. The statement must occur once in the part, or in a function."""
        text = (FILES / f"{self.file}.py").read_text(encoding="utf-8")
        pieces = [ast.get_source_segment(text, node) or "" for node in self._nodes(text)]
        (piece,) = (piece for piece in pieces if self.right in piece)
        assert piece.count(self.right) == 1, (self.part, self.right)
        return text.replace(piece, piece.replace(self.right, self.wrong))

    def _nodes(self, text: str) -> list[ast.stmt]:
        """The part, and functions that it may call."""
        return [
            node
            for node in ast.parse(text).body
            if isinstance(node, (ast.ClassDef, ast.FunctionDef))
            and (node.name == self.part or node.name not in PARTS)
        ]

    @property
    def line(self) -> int:
        """The first line that is not the right file's."""
        right = (FILES / f"{self.file}.py").read_text(encoding="utf-8").splitlines()
        lines = enumerate(zip(self.text().splitlines(), right, strict=False), start=1)
        return next(number for number, (mine, theirs) in lines if mine != theirs)


def _of(part: str, file: str, *pairs: tuple[str, ...]) -> list[Slip]:
    return [Slip(part, file, right, wrong, tuple(names)) for right, wrong, *names in pairs]


_FORMULA = "0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))"
_XHAT = "xhat = (x - mean) / torch.sqrt(var + self.eps)"
_VAR = "var = x.var(-1, keepdim=True, unbiased=False)"
_SOFTMAX = "att = F.softmax(att, dim=-1)"
_SCALED = "att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))"
_GELU = "x = self.gelu(x)"
_ATTENDS = "x = x + self.attn(self.ln1(x))"
_FEEDS = "x = x + self.mlp(self.ln2(x))"
_ENTROPY = "return F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1))"
_DRAWN = "probs = F.softmax(logits, dim=-1)"
_COSINE = "coeff = 0.5 * (1.0 + math.cos(math.pi * decay_ratio))"
_CLIPPED = "scale = (max_grad_norm / (norm + 1e-6)).clamp(max=1.0)"

SLIPS = [
    *_of(
        "LayerNorm",
        "nanogpt_style",
        (_XHAT, "xhat = (x - mean) / torch.sqrt(var) + self.eps", "layer-norm-no-epsilon"),
        (_XHAT, "xhat = (x - mean) / (var + self.eps) ** (1 / 3)"),
        (_XHAT, "xhat = (mean - x) / torch.sqrt(var + self.eps)"),
        (_XHAT, "xhat = x - mean / torch.sqrt(var + self.eps)"),
        (_XHAT, "xhat = (x - mean) / torch.sqrt(var + self.eps) + mean"),
        (_XHAT, "xhat = torch.tanh((x - mean) / torch.sqrt(var + self.eps))"),
        (_VAR, "var = (x**2).mean(-1, keepdim=True) - mean"),
        (_VAR, "var = (x - mean).mean(-1, keepdim=True) ** 2"),
        (_VAR, "var = ((x - mean) ** 4).mean(-1, keepdim=True)"),
        (_VAR, "var = (x.amax(-1, keepdim=True) - x.amin(-1, keepdim=True)) ** 2"),
        ("return self.w * xhat + self.b", "return self.w * (xhat + x) + self.b"),
        ("return self.w * xhat + self.b", "return self.w**2 * xhat + self.b"),
        ("return self.w * xhat + self.b", "return self.w * xhat * self.b"),
    ),
    *_of(
        "LayerNorm",
        "norm_by_moments",
        ("- mean * mean", "+ mean * mean"),
        ("(x64 * x64).mean(-1, keepdim=True)", "(x64 * x64).sum(-1, keepdim=True)"),
    ),
    *_of(
        "LayerNorm",
        "own_functions",
        ("mean = x.sum(-1, keepdim=True) / x.shape[-1]", "mean = x.sum(-1, keepdim=True)"),
    ),
    *_of(
        "Embedding",
        "nanogpt_style",
        ("return self.W_E[idx]", "return self.W_E[idx].cumsum(1)"),
        ("return self.W_E[idx]", "return torch.tanh(self.W_E[idx])"),
        ("return self.W_E[idx]", "return self.W_E[idx.sort(dim=1).values]"),
    ),
    *_of(
        "PositionalEmbedding",
        "nanogpt_style",
        ("pos = torch.arange(T, device=idx.device)", "pos = torch.arange(T) // 2"),
        ("pos = torch.arange(T, device=idx.device)", "pos = torch.arange(T).roll(1)"),
        (
            "return self.W_pos[pos].expand(B, -1, -1)",
            "return self.W_pos[pos].expand(B, -1, -1) / T",
        ),
        (
            "return self.W_pos[pos].expand(B, -1, -1)",
            "return self.W_pos[pos].cumsum(0).expand(B, -1, -1)",
        ),
    ),
    *_of(
        "MultiHeadAttention",
        "nanogpt_style",
        (_SOFTMAX, "att = torch.relu(att)\n        att = att / (att.sum(-1, keepdim=True) + 1e-9)"),
        (_SOFTMAX, "att = F.softmax(att, dim=-1) * T"),
        (_SOFTMAX, "att = F.softmax(att, dim=-1) ** 2"),
        (_SOFTMAX, "att = F.softmax(att, dim=-1).round()"),
        (_SCALED, "att = (q @ k.transpose(-2, -1)) / math.log(k.size(-1))"),
        (
            _SCALED,
            "att = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)",
        ),
        (_SCALED, "att = (q @ k) * (1.0 / math.sqrt(k.size(-1)))"),
        (_SCALED, "att = torch.einsum('bhqd,bhqd->bhd', q, k)[:, :, :1] / math.sqrt(k.size(-1))"),
        (_SCALED, "att = -torch.cdist(q, k) / math.sqrt(k.size(-1))"),
        ("y = att @ v", "y = att @ (v + q)"),
        ("y = att @ v", "y = att @ v / T"),
        ("y = att @ v", "y = att @ v.roll(1, dims=2)"),
        ("y = att @ v", "y = att @ v + v"),
        ("y = att @ v", "y = (att + att.transpose(-2, -1)) @ v / 2"),
        (
            "y = y @ self.W_O.reshape(C, C) + self.b_O",
            "y = torch.tanh(y @ self.W_O.reshape(C, C) + self.b_O)",
        ),
        (
            "y = y @ self.W_O.reshape(C, C) + self.b_O",
            "y = y @ (self.W_O.reshape(C, C) + self.b_O)",
        ),
    ),
    *_of(
        "MLP",
        "nanogpt_style",
        (_GELU, "x = x * torch.tanh(x)"),
        (_GELU, "x = self.gelu(x) + x"),
        (_GELU, "x = self.gelu(x) ** 2"),
        (_GELU, "x = torch.sin(x)"),
        (_GELU, "x = torch.relu(x) - torch.relu(-x) / 2"),
        (_GELU, "x = 0.5 * self.gelu(x)"),
        (_GELU, "x = self.gelu(x - x.mean(-1, keepdim=True))"),
        ("x = x @ self.W_out + self.b_out", "x = x @ (self.W_out + self.b_out)"),
        ("x = x @ self.W_out + self.b_out", "x = x @ self.W_in.T + self.b_out"),
        ("x = x @ self.W_out + self.b_out", "x = x * self.W_out + self.b_out"),
        (
            "x = x @ self.W_in + self.b_in",
            "x = (x + x.mean(-1, keepdim=True)) @ self.W_in + self.b_in",
        ),
    ),
    *_of(
        "MLP",
        "own_functions",
        (_FORMULA, _FORMULA.replace("x * (1.0", "x + (1.0")),
        (_FORMULA, "0.5 * x * (1.0 + torch.tanh(x))"),
        (_FORMULA, "0.5 * x * (1.0 + torch.erf(x))"),
        (_FORMULA, "0.5 * x * (1.0 + torch.sigmoid(1.702 * x))"),
        (_FORMULA, "0.5 * x * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * x))"),
        (_FORMULA, _FORMULA.replace("(1.0 + ", "(1.0 - ")),
        (_FORMULA, _FORMULA.replace("0.5 * x", "0.5 * x.abs()")),
        (_FORMULA, _FORMULA.replace("x + 0.044715", "x - 0.044715")),
    ),
    *_of(
        "MLP",
        "gelu_by_steps",
        ("t = inner.tanh()", "t = inner.sigmoid()"),
        ("return x * (t + 1) / 2", "return x * (t + 1) / 2 + x3"),
    ),
    *_of(
        "TransformerBlock",
        "nanogpt_style",
        (_ATTENDS, "x = x + 0.5 * self.attn(self.ln1(x))"),
        (_ATTENDS, "x = x + self.attn(self.ln1(x)).relu()"),
        (_ATTENDS, "x = x + self.attn(self.ln1(x.flip(1)))"),
        (_FEEDS, "x = x * self.mlp(self.ln2(x))"),
        (_FEEDS, "x = x + self.mlp(self.ln2(x)) * self.attn(self.ln1(x))"),
        (_FEEDS, "x = torch.cat([x[:, :1], x[:, 1:] + self.mlp(self.ln2(x[:, 1:]))], dim=1)"),
        (_FEEDS, "x = x + self.mlp(self.ln2(x)) - x.mean(-1, keepdim=True)"),
    ),
    *_of(
        "Unembedding",
        "nanogpt_style",
        (
            "return x @ self.W_U + self.b_U",
            "return 30 * torch.tanh((x @ self.W_U + self.b_U) / 30)",
        ),
        ("return x @ self.W_U + self.b_U", "return x.cumsum(1) @ self.W_U + self.b_U"),
        ("return x @ self.W_U + self.b_U", "return (x @ self.W_U) * self.b_U.exp()"),
    ),
    *_of(
        "Transformer",
        "nanogpt_style",
        ("            x = block(x)", "            x = x + block(x) / len(self.blocks)"),
        ("            x = block(x)", "            x = block(x) + x[:, :1]"),
        (
            "            x = block(x)",
            "            x = (block(x) + x) / 2",
            "transformer-residual-around-blocks",
        ),
        ("x = self.ln_final(x)", "x = self.ln_final(x) + self.embed(idx)"),
        ("x = self.ln_final(x)", "x = self.ln_final(x - self.pos_embed(idx))"),
    ),
    *_of(
        "next_token_loss",
        "nanogpt_style",
        (_ENTROPY, "return F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1)) ** 2"),
        (
            _ENTROPY,
            "return -logits.log_softmax(-1).gather(-1, targets[..., None]).median()",
        ),
        (
            _ENTROPY,
            "return -logits.log_softmax(-1).gather(-1, targets[..., None]).min()",
        ),
        (_ENTROPY, "return F.cross_entropy(logits.reshape(-1, V).abs(), targets.reshape(-1))"),
    ),
    *_of(
        "sample",
        "nanogpt_style",
        (_DRAWN, "probs = F.softmax(logits, dim=-1).sqrt()"),
        (_DRAWN, "probs = torch.sigmoid(logits)"),
        (
            _DRAWN,
            "probs = F.softmax(logits - logits.mean(-1, keepdim=True).abs() * logits, dim=-1)",
        ),
        (
            "v, _ = torch.topk(logits, min(top_k, logits.size(-1)))",
            "v, _ = torch.topk(logits, max(1, min(top_k, logits.size(-1)) // 2))",
        ),
        ("remove = cumulative > top_p", "remove = cumulative > top_p / 2"),
        (
            'logits = logits.masked_fill(logits < v[:, [-1]], -float("inf"))',
            "logits = logits[logits >= v[:, [-1]]]",
        ),
        (
            'logits = logits.masked_fill(remove.scatter(1, sorted_indices, remove), -float("inf"))',
            "logits = sorted_logits[sorted_indices]",
        ),
        ("remove[:, 0] = False", "remove[:, 0] = logits.amax(-1) < 0"),
        ("remove = cumulative > top_p", "remove = sorted_logits > top_p"),
        ("remove = cumulative > top_p", "remove = cumulative > top_p**2"),
    ),
    *_of(
        "generate",
        "nanogpt_style",
        (
            "idx_cond = idx[:, -model.config.n_ctx :]",
            "idx_cond = idx[:, -model.config.n_ctx :].flip(1)",
        ),
        ("temperature=temperature,", "temperature=temperature * 0.5,"),
        ("logits = logits[:, -1, :]", "logits = logits[:, -1, :] - logits[:, 0, :]"),
        ("top_p=top_p, generator", "top_p=top_p and top_p**0.5, generator"),
    ),
    *_of(
        "learning_rate",
        "one_script",
        (_COSINE, "coeff = 0.5 * (1.0 + math.cos(decay_ratio))"),
        (_COSINE, "coeff = (1.0 - decay_ratio) ** 2"),
        (_COSINE, "coeff = math.exp(-5.0 * decay_ratio)"),
        (
            "return peak * (it + 1) / warmup_steps",
            "return peak * math.sin(math.pi / 2 * (it + 1) / warmup_steps)",
        ),
        (
            "return min_lr + coeff * (peak - min_lr)",
            "return min_lr * (peak / min_lr) ** coeff if min_lr else 0.0",
        ),
    ),
    *_of(
        "parameter_groups",
        "one_script",
        (
            'decay = [p for n, p in params.items() if n.rpartition(".")[2].startswith("W")]',
            "decay = [p for n, p in params.items() if 'pos' in n or 'mlp' in n]",
        ),
        (
            'decay = [p for n, p in params.items() if n.rpartition(".")[2].startswith("W")]',
            "decay = [p for n, p in params.items() if 'W' in n and p.dim() < 3]",
        ),
    ),
    *_of(
        "train_step",
        "own_training_loop",
        (_CLIPPED, "scale = (max_grad_norm / (norm + 1e-6)).clamp(max=1.0) ** 2"),
        (_CLIPPED, "scale = 1 / (1 + norm / max_grad_norm)"),
        (
            "norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients]))",
            "norm = torch.stack([g.norm() for g in gradients]).sum()",
        ),
        ("total += float(value)", "total = max(total, float(value))"),
    ),
    *_of(
        "train",
        "own_training_loop",
        ("group.update(lr=schedule(number))", "group.update(lr=schedule(seen))"),
        ("group.update(lr=schedule(number))", "group.update(lr=schedule(number) ** 2)"),
        (
            "number, seen = number + 1, seen + result.tokens",
            "number, seen = number + 1, seen + len(batches)",
        ),
    ),
]
