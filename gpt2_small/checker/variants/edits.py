"""Define edits that turn the reference into another model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from gpt2_small.checker.mistakes.mistake import Mistake


@dataclass(frozen=True, kw_only=True)
class VariantEdit:
    """An edit that turns GPT-2 into another model.

    id: kebab-case. component: the changed part.
    sentence: the model's behaviour.
    edits: replacements in the reference's text.
    without: names of removed parameters.
    adds: names of added parameters, with their axes.
    same_as: id of an indistinguishable mistake, by which a wrong GPT-2 is named.
    """

    id: str
    component: str
    sentence: str
    edits: tuple[tuple[str, str], ...]
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    adds: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict, hash=False)
    same_as: str | None = None


_W_POS = "self.W_pos = normal_parameter(config.n_ctx, config.d_model, std=config.init_std)"
_ROWS = 'return repeat(self.W_pos[:seq], "seq d_model -> batch seq d_model", batch=batch)'

EDITS = (
    VariantEdit(
        id="positional-embedding-sinusoidal",
        component="PositionalEmbedding",
        sentence="sines and cosines for the positions, with nothing learned "
        "(Vaswani et al. 2017, section 3.5)",
        edits=(
            (
                _W_POS,
                'self.register_buffer("waves", sinusoids(config.n_ctx, config.d_model), '
                "persistent=False)",
            ),
            (_ROWS, _ROWS.replace("W_pos", "waves")),
            (
                "Give every position its learned vector: row p of W_pos for position p.",
                "Give every position its vector of sines and cosines, which is not learned.",
            ),
            (
                "class PositionalEmbedding(nn.Module):",
                'def sinusoids(n_ctx: int, d_model: int) -> Float[Tensor, "n_ctx d_model"]:\n'
                '    """Sines and cosines of wavelengths from 2 pi to 20,000 pi, in turn."""\n'
                "    rates = 10_000.0 ** (-torch.arange(0, d_model, 2) / d_model)\n"
                "    angles = torch.arange(n_ctx)[:, None] * rates\n"
                "    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)"
                "[:, :d_model]\n\n\n"
                "class PositionalEmbedding(nn.Module):",
            ),
        ),
        without={"PositionalEmbedding": ("W_pos",)},
    ),
    VariantEdit(
        id="no-positions",
        component="PositionalEmbedding",
        sentence="no position embedding: attention's mask alone distinguishes positions",
        edits=(
            (
                _W_POS,
                'self.register_buffer("zeros", torch.zeros(config.d_model), persistent=False)',
            ),
            (
                _ROWS,
                'return repeat(self.zeros, "d_model -> batch seq d_model", batch=batch, seq=seq)',
            ),
            (
                "Give every position its learned vector: row p of W_pos for position p.",
                "Give every position the vector 0: this model has no position embedding.",
            ),
        ),
        without={"PositionalEmbedding": ("W_pos",)},
    ),
    VariantEdit(
        id="rotary",
        component="MultiHeadAttention",
        sentence="queries and keys turned by angles that grow with the position "
        "(Su et al. 2021, section 3.2); usually with no-positions",
        edits=(
            (
                "        similarity = einsum(\n            query / math.sqrt(self.d_head),\n"
                "            key,\n",
                "        similarity = einsum(\n            rotated(query) / math.sqrt(self.d_head)"
                ",\n            rotated(key),\n",
            ),
            (
                "class MultiHeadAttention(nn.Module):",
                "def rotated(\n"
                '    vectors: Float[Tensor, "batch seq head d_head"],\n'
                ') -> Float[Tensor, "batch seq head d_head"]:\n'
                '    """Turn feature i and feature i + d_head / 2 together, by the position times '
                "a rate.\n\n"
                "    The last feature of an odd number stays (Su et al. 2021, section 3.2).\n"
                '    """\n'
                "    seq, half = vectors.shape[1], vectors.shape[-1] // 2\n"
                "    rates = 10_000.0 ** (-torch.arange(half, device=vectors.device) / half)\n"
                "    angles = torch.arange(seq, device=vectors.device)[:, None, None] * rates\n"
                "    sin, cos = angles.sin().to(vectors.dtype), angles.cos().to(vectors.dtype)\n"
                "    first, second, rest = vectors.tensor_split([half, 2 * half], dim=-1)\n"
                "    turned = [first * cos - second * sin, first * sin + second * cos, rest]\n"
                "    return torch.cat(turned, dim=-1)\n\n\n"
                "class MultiHeadAttention(nn.Module):",
            ),
        ),
    ),
    VariantEdit(
        id="embedding-times-root",
        component="Transformer",
        same_as="transformer-embedding-scaled",
        sentence="token embeddings times sqrt(d_model) before the positions are added "
        "(Vaswani et al. 2017, section 3.4)",
        edits=(
            (
                "residual = self.embed_dropout(embed + pos_embed)",
                "residual = self.embed_dropout(embed * math.sqrt(self.config.d_model) + pos_embed)",
            ),
        ),
    ),
    VariantEdit(
        id="rms-norm",
        component="LayerNorm",
        sentence="norms that divide by the root mean square, without centring and without bias "
        "(Zhang and Sennrich 2019)",
        edits=(
            (
                "        centered = residual - reduce(residual, "
                '"batch seq d_model -> batch seq 1", "mean")\n'
                "        variance = reduce(centered.square(), "
                '"batch seq d_model -> batch seq 1", "mean")\n'
                "        scale = self.hook_scale((variance + self.eps).sqrt())\n"
                "        normalized = self.hook_normalized(centered / scale)\n"
                "        return normalized * self.w + self.b\n",
                "        mean_square = reduce(residual.square(), "
                '"batch seq d_model -> batch seq 1", "mean")\n'
                "        scale = self.hook_scale((mean_square + self.eps).sqrt())\n"
                "        normalized = self.hook_normalized(residual / scale)\n"
                "        return normalized * self.w\n",
            ),
            ("        self.b = nn.Parameter(torch.zeros(config.d_model))\n", ""),
            (
                "Centre and scale every position to mean 0 and variance 1, then apply a learned "
                "gain and bias.\n\n"
                "    The variance is the mean squared deviation over d_model, and layer_norm_eps "
                "is added to it\n"
                '    before the square root (Ba et al. 2016, "Layer Normalization", section 3).\n',
                "Scale every position to a mean square of 1, then apply a learned gain.\n\n"
                "    layer_norm_eps is added to the mean square before the square root (Zhang and "
                "Sennrich 2019,\n"
                '    "Root Mean Square Layer Normalization", section 4).\n',
            ),
        ),
        without={"LayerNorm": ("b",)},
    ),
    VariantEdit(
        id="mlp-gated",
        component="MLP",
        sentence="an MLP whose hidden layer is multiplied by a second, linear one "
        "(Shazeer 2020, GEGLU)",
        edits=(
            (
                "post = self.hook_post(gelu_tanh(self.hook_pre(pre)))",
                "gate = F.linear(residual, self.W_gate.T)\n"
                "        post = self.hook_post(gelu_tanh(self.hook_pre(pre)) * gate)",
            ),
            (
                "        self.W_in = normal_parameter(config.d_model, config.d_mlp, "
                "std=config.init_std)\n",
                "        self.W_in = normal_parameter(config.d_model, config.d_mlp, "
                "std=config.init_std)\n"
                "        self.W_gate = normal_parameter(config.d_model, config.d_mlp, "
                "std=config.init_std)\n",
            ),
        ),
        adds={"MLP": {"W_gate": ("d_model", "d_mlp")}},
    ),
)


@cache
def other_models(part: str) -> tuple[Mistake, ...]:
    """The edits of a part as mistakes, without those in the catalogue.

    A GPT-2 file with one has a part of another model.
    """
    from gpt2_small.checker.learner.hints import GUIDES

    first, second, third = GUIDES[part].hints
    found = []
    for edit in EDITS:
        if edit.component == part and edit.same_as is None:
            (old, new), *rest = edit.edits
            found.append(
                Mistake(
                    id=edit.id,
                    component=part,
                    old=old,
                    new=new,
                    also=tuple(rest),
                    sentence=(
                        f"is that of another model, with the edit {edit.id} (if this is intended, "
                        f"check it with --as {edit.id}): {edit.sentence}"
                    ),
                    hints=(first, second, third),
                )
            )
    return tuple(found)
