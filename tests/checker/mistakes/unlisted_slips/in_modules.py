"""List slips in modules that no catalogue has."""

from .slip import slips_of

_FORMULA = "0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))"
_XHAT = "xhat = (x - mean) / torch.sqrt(var + self.eps)"
_VAR = "var = x.var(-1, keepdim=True, unbiased=False)"
_SOFTMAX = "att = F.softmax(att, dim=-1)"
_SCALED = "att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))"
_GELU = "x = self.gelu(x)"
_ATTENDS = "x = x + self.attn(self.ln1(x))"
_FEEDS = "x = x + self.mlp(self.ln2(x))"

SLIPS = [
    *slips_of(
        "LayerNorm",
        "nanogpt_style",
        (_XHAT, "xhat = (x - mean) / torch.sqrt(var) + self.eps", "layer-norm-no-epsilon"),
        (_XHAT, "xhat = (x - mean) / (var + self.eps) ** (1 / 3)"),
        (_XHAT, "xhat = (mean - x) / torch.sqrt(var + self.eps)"),
        (_XHAT, "xhat = x - mean / torch.sqrt(var + self.eps)"),
        (_XHAT, "xhat = (x - mean) / torch.sqrt(var + self.eps) + mean"),
        (_XHAT, "xhat = torch.tanh((x - mean) / torch.sqrt(var + self.eps))"),
        (_VAR, "var = (x**2).mean(-1, keepdim=True) - mean.abs()"),
        (_VAR, "var = (x - mean).mean(-1, keepdim=True) ** 2"),
        (_VAR, "var = ((x - mean) ** 4).mean(-1, keepdim=True)"),
        (_VAR, "var = (x.amax(-1, keepdim=True) - x.amin(-1, keepdim=True)) ** 2"),
        ("return self.w * xhat + self.b", "return self.w * (xhat + x) + self.b"),
        ("return self.w * xhat + self.b", "return self.w**2 * xhat + self.b"),
        ("return self.w * xhat + self.b", "return self.w * xhat * self.b"),
    ),
    *slips_of(
        "LayerNorm",
        "norm_by_moments",
        ("- mean * mean", "+ mean * mean"),
        ("(x64 * x64).mean(-1, keepdim=True)", "(x64 * x64).sum(-1, keepdim=True)"),
    ),
    *slips_of(
        "LayerNorm",
        "own_functions",
        ("mean = x.sum(-1, keepdim=True) / x.shape[-1]", "mean = x.sum(-1, keepdim=True)"),
    ),
    *slips_of(
        "Embedding",
        "nanogpt_style",
        ("return self.W_E[idx]", "return self.W_E[idx].cumsum(1)"),
        ("return self.W_E[idx]", "return torch.tanh(self.W_E[idx])"),
        ("return self.W_E[idx]", "return self.W_E[idx.sort(dim=1).values]"),
    ),
    *slips_of(
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
    *slips_of(
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
    *slips_of(
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
    *slips_of(
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
    *slips_of(
        "MLP",
        "gelu_by_steps",
        ("t = inner.tanh()", "t = inner.sigmoid()"),
        ("return x * (t + 1) / 2", "return x * (t + 1) / 2 + x3"),
    ),
    *slips_of(
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
    *slips_of(
        "Unembedding",
        "nanogpt_style",
        (
            "return x @ self.W_U + self.b_U",
            "return 30 * torch.tanh((x @ self.W_U + self.b_U) / 30)",
            "unembedding-logits-capped",
        ),
        ("return x @ self.W_U + self.b_U", "return x.cumsum(1) @ self.W_U + self.b_U"),
        ("return x @ self.W_U + self.b_U", "return (x @ self.W_U) * self.b_U.exp()"),
    ),
    *slips_of(
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
]
