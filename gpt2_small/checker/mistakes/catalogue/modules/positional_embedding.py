"""List the known mistakes in PositionalEmbedding."""

from gpt2_small.checker.mistakes.catalogue.modules.families import initialisations, plain_tensors
from gpt2_small.checker.mistakes.mistake import Mistake

PART = "PositionalEmbedding"
_ROWS = 'return repeat(self.W_pos[:seq], "seq d_model -> batch seq d_model", batch=batch)'
_FRESH = "self.W_pos = normal_parameter(config.n_ctx, config.d_model, std=config.init_std)"

_PLACE_HINTS = (
    "Compare the output at position 3 with row 3 of W_pos.",
    "Row p of W_pos belongs to position p, counted from 0, whatever token stands there.",
    "output[b, p] = W_pos[p]",
)
_SHAPE_HINTS = (
    "What is the shape of the output for 2 rows of 11 tokens?",
    "Every row of the batch gets the same vectors, one for each position that there is.",
    "W_pos[:seq] repeated batch times: [batch seq d_model]",
)
_LEARNS_HINTS = (
    "The output is right. What is the gradient of W_pos?",
    "W_pos is learned, from every row of the batch.",
    "output = W_pos[:seq], without detach or .data",
)
_INIT_HINTS = (
    "What is the standard deviation of a fresh W_pos?",
    "Weights are drawn from a normal distribution of mean 0; the configuration says how wide.",
    "nn.init.normal_(W_pos, std=config.init_std)",
)
_LENGTH_HINTS = (
    "What happens with exactly n_ctx tokens, and with more?",
    "There are n_ctx vectors, for the positions 0 to n_ctx - 1.",
    "if seq > n_ctx: raise ValueError(...)",
)

MISTAKES = [
    Mistake(
        id="positional-embedding-by-token",
        component=PART,
        old=_ROWS,
        new="return self.W_pos[tokens % self.n_ctx]",
        sentence="looks up the token instead of its position",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-by-token-itself",
        component=PART,
        old=_ROWS,
        new="return self.W_pos[tokens]",
        sentence="looks up the token instead of its position, which fails for tokens beyond n_ctx",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-from-one",
        component=PART,
        old=_ROWS,
        new=(
            "return self.W_pos[torch.arange(1, seq + 1, "
            "device=tokens.device)].expand(batch, -1, -1)"
        ),
        sentence="counts positions from 1, so that the last one does not exist",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-from-one-and-around",
        component=PART,
        old=_ROWS,
        new=(
            'return repeat(self.W_pos.roll(-1, 0)[:seq], "seq d_model -> batch seq '
            'd_model", batch=batch)'
        ),
        sentence="gives every position the next one's vector",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-slice-from-one",
        component=PART,
        old=_ROWS,
        new=(
            'return repeat(self.W_pos[1 : seq + 1], "seq d_model -> batch seq '
            'd_model", batch=batch)'
        ),
        sentence="leaves out the first row of W_pos",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-backwards",
        component=PART,
        old=_ROWS,
        new=(
            'return repeat(self.W_pos[:seq].flip(0), "seq d_model -> batch seq '
            'd_model", batch=batch)'
        ),
        sentence="counts positions from the end of the sequence",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-each-row-repeated",
        component=PART,
        old=_ROWS,
        new="return self.W_pos[:seq].repeat_interleave(batch, dim=0).view(batch, seq, -1)",
        sentence="repeats each row before the next one, which mixes positions and batch",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-last-rows",
        component=PART,
        old=_ROWS,
        new=('return repeat(self.W_pos[-seq:], "seq d_model -> batch seq d_model", batch=batch)'),
        sentence="takes the last rows of W_pos instead of the first",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-first-row-only",
        component=PART,
        old=_ROWS,
        new=('return repeat(self.W_pos[0], "d_model -> batch seq d_model", batch=batch, seq=seq)'),
        sentence="gives every position the vector of position 0",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-by-row",
        component=PART,
        old=_ROWS,
        new=(
            "return self.W_pos[torch.arange(batch, "
            "device=tokens.device)].unsqueeze(1).expand(-1, seq, -1)"
        ),
        sentence="counts the rows of the batch instead of the positions",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-skips-token-0",
        component=PART,
        old=_ROWS,
        new="return self.W_pos[((tokens != 0).cumsum(dim=1) - 1).clamp(min=0)]",
        sentence="does not count positions where token 0 stands, as if it were padding",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-scaled",
        component=PART,
        old=_ROWS,
        new=(
            'return repeat(self.W_pos[:seq], "seq d_model -> batch seq d_model", '
            "batch=batch) * math.sqrt(self.W_pos.shape[1])"
        ),
        sentence="multiplies the vectors by sqrt(d_model)",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-sinusoidal",
        component=PART,
        old=_ROWS,
        new=(
            "place = torch.arange(seq, device=tokens.device, "
            "dtype=self.W_pos.dtype).unsqueeze(1)\n"
            "        feature = torch.arange(0, self.W_pos.shape[1], 2, "
            "device=tokens.device)\n"
            "        angles = place / 10000 ** (feature / self.W_pos.shape[1])\n"
            "        waves = torch.stack([angles.sin(), angles.cos()], "
            "dim=-1).flatten(1)\n"
            "        return waves.to(self.W_pos.dtype).expand(batch, -1, -1)"
        ),
        sentence="gives sines and cosines instead of learned vectors",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="positional-embedding-no-batch-axis",
        component=PART,
        old=_ROWS,
        new="return self.W_pos[:seq]",
        sentence="returns [seq d_model], without the batch axis",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="positional-embedding-one-row",
        component=PART,
        old=_ROWS,
        new="return self.W_pos[:seq].unsqueeze(0)",
        sentence="returns one row whatever the batch is",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="positional-embedding-all-rows",
        component=PART,
        old=_ROWS,
        new=('return repeat(self.W_pos, "seq d_model -> batch seq d_model", batch=batch)'),
        sentence="returns all n_ctx rows whatever the length is",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="positional-embedding-table-itself",
        component=PART,
        old=_ROWS,
        new="return self.W_pos",
        sentence="returns W_pos itself: all n_ctx rows, without the batch axis",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="positional-embedding-seq-first",
        component=PART,
        old=_ROWS,
        new=('return repeat(self.W_pos[:seq], "seq d_model -> seq batch d_model", batch=batch)'),
        sentence="returns [seq batch d_model]",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="positional-embedding-seq-is-batch",
        component=PART,
        old=_ROWS,
        new=_ROWS.replace("[:seq]", "[:batch]"),
        sentence="takes the number of rows for the number of positions",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="positional-embedding-detached",
        component=PART,
        old=_ROWS,
        new=(
            'return repeat(self.W_pos[:seq].detach(), "seq d_model -> batch seq '
            'd_model", batch=batch)'
        ),
        sentence="cuts W_pos off from the gradient, so that it never learns",
        hints=_LEARNS_HINTS,
    ),
    Mistake(
        id="positional-embedding-frozen",
        component=PART,
        old=_FRESH,
        new=(
            "self.W_pos = normal_parameter(config.n_ctx, config.d_model, "
            "std=config.init_std).requires_grad_(False)"
        ),
        sentence="freezes W_pos: requires_grad is False",
        hints=_LEARNS_HINTS,
    ),
    Mistake(
        id="positional-embedding-buffer",
        component=PART,
        old=_FRESH,
        new=(
            'self.register_buffer("W_pos", torch.randn(config.n_ctx, config.d_model) '
            "* config.init_std)"
        ),
        sentence="keeps W_pos in a buffer, which is not trained",
        hints=_LEARNS_HINTS,
    ),
    Mistake(
        id="positional-embedding-init-standard-normal",
        component=PART,
        old=_FRESH,
        new="self.W_pos = normal_parameter(config.n_ctx, config.d_model, std=1.0)",
        sentence="draws W_pos with a standard deviation of 1",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="positional-embedding-init-fixed",
        component=PART,
        old=_FRESH,
        new="self.W_pos = normal_parameter(config.n_ctx, config.d_model, std=0.02)",
        sentence="draws W_pos with 0.02 whatever init_std says",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="positional-embedding-init-half",
        component=PART,
        old=_FRESH,
        new=(
            "self.W_pos = normal_parameter(config.n_ctx, config.d_model, std=config.init_std / 2)"
        ),
        sentence="draws W_pos half as wide as init_std says",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="positional-embedding-init-zeros",
        component=PART,
        old=_FRESH,
        new="self.W_pos = nn.Parameter(torch.zeros(config.n_ctx, config.d_model))",
        sentence="starts W_pos at 0",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="positional-embedding-one-row-more",
        component=PART,
        old=_FRESH,
        new=(
            "self.W_pos = normal_parameter(config.n_ctx + 1, config.d_model, std=config.init_std)"
        ),
        sentence="has one row more than n_ctx",
        hints=_LENGTH_HINTS,
    ),
    Mistake(
        id="positional-embedding-last-position-refused",
        component=PART,
        old="if seq > self.n_ctx:",
        new="if seq >= self.n_ctx:",
        sentence="refuses exactly n_ctx tokens",
        hints=_LENGTH_HINTS,
    ),
    Mistake(
        id="positional-embedding-beyond-the-last",
        component=PART,
        old="if seq > self.n_ctx:",
        new="if False:",
        also=(
            (
                _ROWS,
                (
                    "return self.W_pos[torch.arange(seq, device=tokens.device) % "
                    "self.n_ctx].expand(batch, -1, -1)"
                ),
            ),
        ),
        sentence="does not refuse more than n_ctx positions",
        hints=_LENGTH_HINTS,
    ),
    Mistake(
        id="positional-embedding-on-cpu",
        component=PART,
        old=_ROWS,
        new=("return self.W_pos[:seq] + torch.zeros(batch, 1, 1, dtype=self.W_pos.dtype)"),
        sentence="makes a tensor on the CPU whatever the device of its input is",
        hints=(
            "Would it work on a GPU?",
            "What is made in the forward pass must be where the input is.",
            "torch.arange(seq, device=tokens.device)",
        ),
    ),
    Mistake(
        id="positional-embedding-by-index",
        component=PART,
        old=_ROWS,
        new=("return self.W_pos[torch.arange(seq, device=tokens.device)].expand(batch, -1, -1)"),
        sentence="looks the positions up with arange",
        equivalent=True,
    ),
    *initialisations(
        PART,
        "positional-embedding",
        {_FRESH: ("config.n_ctx, config.d_model", "config.d_model")},
        _INIT_HINTS,
        leave_out=("all-standard-normal", "all-zeros", "all-fixed", "all-by-width"),
    ),
    Mistake(
        id="positional-embedding-restarts-after-50256",
        component=PART,
        old='return repeat(self.W_pos[:seq], "seq d_model -> batch seq d_model", batch=batch)',
        new=(
            "ends = (tokens == 50256).long().cumsum(dim=1)\n"
            "        ends = torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1]], dim=1)\n"
            "        earlier = (ends[:, :, None] == ends[:, None]).tril(-1)\n"
            "        return self.W_pos[earlier.sum(dim=-1)]"
        ),
        sentence="counts positions anew after every token 50256",
        hints=_PLACE_HINTS,
    ),
    plain_tensors(
        PART,
        "positional-embedding-w-pos",
        "W_pos",
        {_FRESH: "torch.randn(config.n_ctx, config.d_model) * config.init_std"},
    ),
]
