"""List the known mistakes in Transformer."""

from gpt2_small.checker.mistakes.catalogue.modules.families import fixed_rates
from gpt2_small.checker.mistakes.mistake import Mistake

PART = "Transformer"
_LAYER = "self.embed_dropout = nn.Dropout(config.dropout)"
_EMBED = "embed = self.hook_embed(self.embed(tokens))"
_POS = "pos_embed = self.hook_pos_embed(self.pos_embed(tokens))"
_SUM = "residual = self.embed_dropout(embed + pos_embed)"
_RUN = "        for block in self.blocks:\n            residual = block(residual)\n"
_FINAL = "final = self.ln_final(residual)"
_UNTIED = "return self.unembed(final)"
_TIED = "return final @ tied_W_U"
_BLOCKS = "self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.n_layers))"
_UNEMBED = "self.unembed = None if config.tied_embeddings else Unembedding(config)"
_EMBEDDING = "self.embed = Embedding(config)"

_INPUT_HINTS = (
    "What is the stream that enters the first block?",
    "It is the sum of token and position embeddings, each once.",
    "residual = dropout(embed(tokens) + pos_embed(tokens))",
)
_RUNS_HINTS = (
    "How often is each block run, and in which order?",
    "Every block is run once, from the first to the last, each on the previous one's output.",
    "for block in blocks: residual = block(residual)",
)
_LAST_HINTS = (
    "What stands between the last block and the logits?",
    "One LayerNorm, ln_final, and the unembedding.",
    "logits = unembed(ln_final(residual))",
)
_LOGITS_HINTS = (
    "Are the logits of a position normalized? Are there logits for every position?",
    "Logits are returned as they are, for every position; the loss takes the softmax.",
    "logits = ln_final(residual) @ W_E.T: [batch seq d_vocab]",
)
_TIE_HINTS = (
    "Count the parameters, tied and untied.",
    (
        "Tied, the unembedding is the transposed W_E itself, with no bias and no weight of its "
        "own; untied it is an Unembedding."
    ),
    "logits = final @ embed.W_E.T if tied else unembed(final)",
)
_MODULES_HINTS = (
    "List its parameters. Are all n_layers blocks there, each with its own?",
    "A module finds its children in attributes and in ModuleList, not in a plain list.",
    "self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(n_layers))",
)
_DROPOUT_HINTS = (
    (
        "Set dropout to 0.5. What of the first block's input is zero in training mode, and in "
        "evaluation mode?"
    ),
    "In training, and only then, features of the sum of both embeddings are dropped.",
    "residual = Dropout(config.dropout)(embed + pos_embed)",
)
# Standard deviations of matrices drawn again, by the ends of their mistakes' ids.
_OF_RESIDUAL = 'if name.endswith(("W_O", "W_out")) else 0.02'
_REDRAWN = {
    "fixed": ("0.02", "with a standard deviation of 0.02, whatever init_std is"),
    "fixed-and-narrow": (
        f"0.02 / narrow {_OF_RESIDUAL}",
        "with a standard deviation of 0.02 (0.02 / sqrt(2 n_layers) for W_O and W_out), whatever "
        "init_std is",
    ),
    "all-narrow": (
        "config.init_std / narrow", "as narrow as W_O and W_out: init_std / sqrt(2 n_layers)",
    ),
    "all-narrow-fixed": (
        "0.02 / narrow", "all of 0.02 / sqrt(2 n_layers), whatever init_std is",
    ),
}  # fmt: skip
_INIT_HINTS = (
    "What is the loss of a fresh model? It should be a little above ln d_vocab.",
    "The parts draw their own parameters, with init_std; nothing is drawn again.",
    "W_E: std = config.init_std",
)
_TAPS_HINTS = (
    "The output is right; an activation on the way is not.",
    "hook_embed and hook_pos_embed show the two embeddings before they are added.",
    "residual = hook_embed(embed(tokens)) + hook_pos_embed(pos_embed(tokens))",
)

MISTAKES = [
    Mistake(
        id="transformer-positions-missing",
        component=PART,
        old=_SUM,
        new="residual = self.embed_dropout(embed)",
        sentence="does not add the position embedding",
        hints=_INPUT_HINTS,
    ),
    Mistake(
        id="transformer-positions-twice",
        component=PART,
        old=_SUM,
        new="residual = self.embed_dropout(embed + 2 * pos_embed)",
        sentence="adds the position embedding twice",
        hints=_INPUT_HINTS,
    ),
    Mistake(
        id="transformer-positions-multiplied",
        component=PART,
        old=_SUM,
        new="residual = self.embed_dropout(embed * pos_embed)",
        sentence="multiplies token and position embeddings",
        hints=_INPUT_HINTS,
    ),
    Mistake(
        id="transformer-positions-by-token-embedding",
        component=PART,
        old=_POS,
        new=(
            "pos_embed = self.hook_pos_embed(\n"
            "            self.embed(torch.arange(tokens.shape[1], device=tokens.device)\n"
            "                       .expand_as(tokens)))"
        ),
        sentence="looks positions up in the token embedding",
        hints=_INPUT_HINTS,
    ),
    Mistake(
        id="transformer-embeddings-detached",
        component=PART,
        old=_SUM,
        new="residual = self.embed_dropout(embed + pos_embed).detach()",
        sentence="cuts the gradient off after the embeddings",
        hints=_INPUT_HINTS,
    ),
    Mistake(
        id="transformer-positions-in-every-block",
        component=PART,
        old=_RUN,
        new=(
            "        for block in self.blocks:\n"
            "            residual = block(residual + pos_embed)\n"
        ),
        sentence="adds the position embedding before every block",
        hints=_INPUT_HINTS,
    ),
    Mistake(
        id="transformer-positions-after-blocks",
        component=PART,
        old=_SUM,
        new="residual = self.embed_dropout(embed)",
        also=((_FINAL, "final = self.ln_final(residual + pos_embed)"),),
        sentence="adds the position embedding after the blocks",
        hints=_INPUT_HINTS,
    ),
    Mistake(
        id="transformer-embedding-scaled",
        component=PART,
        old=_SUM,
        new=("residual = self.embed_dropout(embed * math.sqrt(embed.shape[-1]) + pos_embed)"),
        sentence="multiplies the token embedding by sqrt(d_model), which GPT-2 does not",
        hints=_INPUT_HINTS,
    ),
    Mistake(
        id="transformer-tokens-missing",
        component=PART,
        old=_SUM,
        new="residual = self.embed_dropout(embed * 0 + pos_embed)",
        sentence="does not use the token embedding",
        hints=_INPUT_HINTS,
    ),
    Mistake(
        id="transformer-sum-normalized",
        component=PART,
        old=_SUM,
        new="residual = self.ln_final(self.embed_dropout(embed + pos_embed))",
        sentence="normalizes the sum of the embeddings",
        hints=_INPUT_HINTS,
    ),
    Mistake(
        id="transformer-first-block-only",
        component=PART,
        old=_RUN,
        new="        residual = self.blocks[0](residual)\n",
        sentence="runs the first block only",
        hints=_RUNS_HINTS,
    ),
    Mistake(
        id="transformer-first-block-missing",
        component=PART,
        old=_RUN,
        new=("        for block in self.blocks[1:]:\n            residual = block(residual)\n"),
        sentence="leaves out the first block",
        hints=_RUNS_HINTS,
    ),
    Mistake(
        id="transformer-last-block-missing",
        component=PART,
        old=_RUN,
        new=("        for block in self.blocks[:-1]:\n            residual = block(residual)\n"),
        sentence="leaves out the last block",
        hints=_RUNS_HINTS,
    ),
    Mistake(
        id="transformer-one-block-for-all",
        component=PART,
        old=_RUN,
        new=("        for _ in self.blocks:\n            residual = self.blocks[0](residual)\n"),
        sentence="runs the first block n_layers times",
        hints=_RUNS_HINTS,
    ),
    Mistake(
        id="transformer-blocks-backwards",
        component=PART,
        old=_RUN,
        new=(
            "        for block in reversed(self.blocks):\n            residual = block(residual)\n"
        ),
        sentence="runs its blocks from the last to the first",
        hints=_RUNS_HINTS,
    ),
    Mistake(
        id="transformer-blocks-twice",
        component=PART,
        old=_RUN,
        new=(
            "        for block in [*self.blocks, *self.blocks]:\n"
            "            residual = block(residual)\n"
        ),
        sentence="runs all blocks twice",
        hints=_RUNS_HINTS,
    ),
    Mistake(
        id="transformer-blocks-read-the-embeddings",
        component=PART,
        old=_RUN,
        new=(
            "        start = residual\n        for block in self.blocks:\n"
            "            residual = block(start)\n"
        ),
        sentence="gives every block the embeddings, so that only the last block counts",
        hints=_RUNS_HINTS,
    ),
    Mistake(
        id="transformer-blocks-in-parallel",
        component=PART,
        old=_RUN,
        new=(
            "        residual = residual + sum(block(residual) - residual for block "
            "in self.blocks)\n"
        ),
        sentence="lets every block read the same stream",
        hints=_RUNS_HINTS,
    ),
    Mistake(
        id="transformer-residual-around-blocks",
        component=PART,
        old=_RUN,
        new=(
            "        for block in self.blocks:\n            residual = residual + block(residual)\n"
        ),
        sentence="adds each block's input to its output, which already has it",
        hints=_RUNS_HINTS,
    ),
    Mistake(
        id="transformer-blocks-missing",
        component=PART,
        old=_RUN,
        new="",
        sentence="uses the output of no block",
        hints=_RUNS_HINTS,
    ),
    Mistake(
        id="transformer-final-norm-missing",
        component=PART,
        old=_FINAL,
        new="final = residual",
        sentence="leaves out the final LayerNorm",
        hints=_LAST_HINTS,
    ),
    Mistake(
        id="transformer-final-norm-twice",
        component=PART,
        old=_FINAL,
        new="final = self.ln_final(self.ln_final(residual))",
        sentence="applies the final LayerNorm twice",
        hints=_LAST_HINTS,
    ),
    Mistake(
        id="transformer-final-norm-before-blocks",
        component=PART,
        old=_FINAL,
        new="final = residual",
        also=((_SUM, "residual = self.ln_final(self.embed_dropout(embed + pos_embed))"),),
        sentence="applies the final LayerNorm before the blocks",
        hints=_LAST_HINTS,
    ),
    Mistake(
        id="transformer-norm-after-every-block",
        component=PART,
        old=_RUN,
        new=(
            "        for block in self.blocks:\n"
            "            residual = self.ln_final(block(residual))\n"
        ),
        also=((_FINAL, "final = residual"),),
        sentence="applies the final LayerNorm after every block",
        hints=_LAST_HINTS,
    ),
    Mistake(
        id="transformer-log-softmax",
        component=PART,
        old=_TIED,
        new="return (final @ self.embed.W_E.T).log_softmax(dim=-1)",
        also=((_UNTIED, "return (self.unembed(final)).log_softmax(dim=-1)"),),
        sentence="returns log-probabilities instead of logits",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="transformer-softmax",
        component=PART,
        old=_TIED,
        new="return (final @ self.embed.W_E.T).softmax(dim=-1)",
        also=((_UNTIED, "return (self.unembed(final)).softmax(dim=-1)"),),
        sentence="returns probabilities instead of logits",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="transformer-last-position",
        component=PART,
        old=_TIED,
        new="return (final @ self.embed.W_E.T)[:, -1:]",
        also=((_UNTIED, "return (self.unembed(final))[:, -1:]"),),
        sentence="returns the last position only",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="transformer-last-position-without-axis",
        component=PART,
        old=_TIED,
        new="return (final @ self.embed.W_E.T)[:, -1]",
        also=((_UNTIED, "return (self.unembed(final))[:, -1]"),),
        sentence="returns the last position only, without its axis",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="transformer-logits-scaled",
        component=PART,
        old=_TIED,
        new="return (final @ self.embed.W_E.T) / math.sqrt(self.config.d_model)",
        also=((_UNTIED, "return (self.unembed(final)) / math.sqrt(self.config.d_model)"),),
        sentence="divides the logits by sqrt(d_model)",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="transformer-returns-hidden-too",
        component=PART,
        old=_TIED,
        new="return final @ self.embed.W_E.T, final",
        also=((_UNTIED, "return self.unembed(final), final"),),
        sentence="returns a tuple, with something beside the logits",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="transformer-first-row-only",
        component=PART,
        old=_TIED,
        new="return (final @ self.embed.W_E.T)[:1].expand(len(tokens), -1, -1)",
        also=((_UNTIED, "return (self.unembed(final))[:1].expand(len(tokens), -1, -1)"),),
        sentence="gives all rows of the batch the logits of the first",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="transformer-tie-broken",
        component=PART,
        old=_UNEMBED,
        new="self.unembed = Unembedding(config)",
        sentence="has a separate unembedding although the embeddings are tied",
        hints=_TIE_HINTS,
    ),
    Mistake(
        id="transformer-always-tied",
        component=PART,
        old=_UNEMBED,
        new="self.unembed = None",
        sentence="ties the embeddings although the configuration says otherwise",
        hints=_TIE_HINTS,
    ),
    Mistake(
        id="transformer-unembedding-unused",
        component=PART,
        old=_UNTIED,
        new="return final @ self.embed.W_E.T",
        sentence="unembeds with W_E although the embeddings are not tied",
        hints=_TIE_HINTS,
    ),
    Mistake(
        id="transformer-tie-copied",
        component=PART,
        old=_UNEMBED,
        new=(
            "self.unembed = Unembedding(config)\n"
            "        if config.tied_embeddings:\n"
            "            self.unembed.W_U = "
            "nn.Parameter(self.embed.W_E.detach().T.clone())"
        ),
        sentence="starts the unembedding as a copy of W_E, which then goes its own way",
        hints=_TIE_HINTS,
    ),
    Mistake(
        id="transformer-tie-detached",
        component=PART,
        old=_TIED,
        new="return final @ self.embed.W_E.T.detach()",
        sentence="lets W_E learn nothing from the logits",
        hints=_TIE_HINTS,
    ),
    Mistake(
        id="transformer-lookup-detached",
        component=PART,
        old=_EMBED,
        new="embed = self.hook_embed(self.embed(tokens).detach())",
        sentence="lets W_E learn nothing as an embedding",
        hints=_TIE_HINTS,
    ),
    Mistake(
        id="transformer-tied-with-bias",
        component=PART,
        old=_UNEMBED,
        new=(
            "self.unembed = None if config.tied_embeddings else Unembedding(config)\n"
            "        self.b_U = nn.Parameter(torch.zeros(config.d_vocab))"
        ),
        also=((_TIED, "return final @ self.embed.W_E.T + self.b_U"),),
        sentence="adds a bias to the tied unembedding",
        hints=_TIE_HINTS,
    ),
    Mistake(
        id="transformer-list-of-blocks",
        component=PART,
        old=_BLOCKS,
        new="self.blocks = [TransformerBlock(config) for _ in range(config.n_layers)]",
        sentence="keeps its blocks in a plain list, where no parameter is found",
        hints=_MODULES_HINTS,
    ),
    Mistake(
        id="transformer-one-block-repeated",
        component=PART,
        old=_BLOCKS,
        new=("self.blocks = nn.ModuleList([TransformerBlock(config)] * config.n_layers)"),
        sentence="has one block n_layers times instead of n_layers blocks",
        hints=_MODULES_HINTS,
    ),
    Mistake(
        id="transformer-one-block-more",
        component=PART,
        old=_BLOCKS,
        new=(
            "self.blocks = nn.ModuleList(TransformerBlock(config) for _ in "
            "range(config.n_layers + 1))"
        ),
        sentence="has one block too many",
        hints=_MODULES_HINTS,
    ),
    Mistake(
        id="transformer-one-block-less",
        component=PART,
        old=_BLOCKS,
        new=(
            "self.blocks = nn.ModuleList(TransformerBlock(config) for _ in "
            "range(config.n_layers - 1))"
        ),
        sentence="has one block too few",
        hints=_MODULES_HINTS,
    ),
    Mistake(
        id="transformer-twelve-blocks",
        component=PART,
        old=_BLOCKS,
        new="self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(12))",
        sentence="always has twelve blocks, GPT-2 small's number",
        hints=_MODULES_HINTS,
    ),
    Mistake(
        id="transformer-final-norm-other-name",
        component=PART,
        old="self.ln_final = LayerNorm(config)",
        new="self.ln_f = LayerNorm(config)",
        also=((_FINAL, "final = self.ln_f(residual)"),),
        sentence=("calls its final norm other than ln_final, so that GPT-2's weights do not load"),
        hints=_MODULES_HINTS,
    ),
    Mistake(
        id="transformer-dropout-missing",
        component=PART,
        old=_SUM,
        new="residual = embed + pos_embed",
        sentence="does not drop features of the sum of the embeddings in training",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="transformer-dropout-of-tokens-alone",
        component=PART,
        old=_SUM,
        new="residual = self.embed_dropout(embed) + pos_embed",
        sentence="drops features of the token embedding alone",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="transformer-dropout-of-each",
        component=PART,
        old=_SUM,
        new="residual = self.embed_dropout(embed) + self.embed_dropout(pos_embed)",
        sentence="drops features of both embeddings separately, before they are added",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="transformer-dropout-before-every-block",
        component=PART,
        old=_SUM,
        new="residual = embed + pos_embed",
        also=((_RUN, _RUN.replace("(residual)", "(self.embed_dropout(residual))")),),
        sentence="applies embed_dropout before every block instead of once",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="transformer-dropout-after-every-block-too",
        component=PART,
        old=_RUN,
        new=(
            "        for block in self.blocks:\n"
            "            residual = self.embed_dropout(block(residual))\n"
        ),
        sentence="applies its dropout again after every block",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="transformer-dropout-same-for-all-rows",
        component=PART,
        old=_SUM,
        new=(
            "residual = embed + pos_embed\n"
            "        residual = residual * self.embed_dropout(torch.ones_like(residual[:1]))"
        ),
        sentence="drops the same features in every row of the batch",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="transformer-dropout-of-whole-positions",
        component=PART,
        old=_SUM,
        new=(
            "residual = embed + pos_embed\n"
            "        residual = residual * self.embed_dropout(torch.ones_like(residual[..., :1]))"
        ),
        sentence="drops all features of a position or none",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="transformer-dropout-in-evaluation",
        component=PART,
        old=_SUM,
        new="residual = F.dropout(embed + pos_embed, self.config.dropout)",
        sentence="drops features in evaluation mode as well",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="transformer-dropout-after-blocks",
        component=PART,
        old=_FINAL,
        new="final = self.ln_final(self.embed_dropout(residual))",
        also=((_SUM, "residual = embed + pos_embed"),),
        sentence="drops features after the blocks instead of before them",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="transformer-dropout-fixed",
        component=PART,
        old="self.embed_dropout = nn.Dropout(config.dropout)",
        new="self.embed_dropout = nn.Dropout(0.1)",
        sentence="drops a tenth whatever config.dropout is",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="transformer-sees-the-mean",
        component=PART,
        old=_FINAL,
        new=("final = self.ln_final(residual + 0.001 * residual.mean(dim=1, keepdim=True))"),
        sentence="mixes the mean over all positions into each, so that later tokens leak",
        hints=(
            "Change the last token. Which logits move?",
            "Only attention moves anything between positions, and only forward.",
            "final = ln_final(residual)",
        ),
    ),
    Mistake(
        id="transformer-crops",
        component=PART,
        old=_EMBED,
        new=(
            "tokens = tokens[:, -self.config.n_ctx :]\n"
            "        embed = self.hook_embed(self.embed(tokens))"
        ),
        sentence="crops tokens beyond n_ctx instead of refusing them",
        hints=(
            "What happens with more than n_ctx tokens?",
            "There are no positions for them; generate crops, the model refuses.",
            "if seq > n_ctx: raise ValueError(...)",
        ),
    ),
    Mistake(
        id="transformer-config-missing",
        component=PART,
        old=("self.config = config\n        self.embed"),
        new=("self.settings = config\n        self.embed"),
        sentence="does not keep its configuration as config",
        hints=(
            "Ask the model for model.config.n_ctx.",
            "generate needs to know n_ctx.",
            "self.config = config",
        ),
    ),
    Mistake(
        id="transformer-init-standard-normal",
        component=PART,
        old=_EMBEDDING,
        new=("self.embed = Embedding(config)\n        nn.init.normal_(self.embed.W_E)"),
        sentence=("draws W_E with a standard deviation of 1: the first loss is in the hundreds"),
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="transformer-init-ten-times",
        component=PART,
        old=_EMBEDDING,
        new=(
            "self.embed = Embedding(config)\n"
            "        nn.init.normal_(self.embed.W_E, std=10 * config.init_std)"
        ),
        sentence="draws W_E ten times too wide",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="transformer-init-zeros",
        component=PART,
        old=_EMBEDDING,
        new=("self.embed = Embedding(config)\n        nn.init.zeros_(self.embed.W_E)"),
        sentence=("starts W_E at 0: the first loss is exactly ln d_vocab, and nothing learns"),
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="transformer-residual-projections-redrawn",
        component=PART,
        old=_BLOCKS,
        new=(
            "self.blocks = nn.ModuleList(TransformerBlock(config) for _ in "
            "range(config.n_layers))\n"
            "        for name, parameter in self.blocks.named_parameters():\n"
            '            if name.endswith(("W_O", "W_out")):\n'
            "                nn.init.normal_(parameter, std=config.init_std)"
        ),
        sentence=(
            "draws W_O and W_out again without 1/sqrt(2 n_layers): the stream grows with depth"
        ),
        hints=(
            "What is the standard deviation of a fresh W_O?",
            (
                "What writes into the stream is narrower, so that the stream's variance "
                "does not grow with depth."
            ),
            "W_O, W_out: std = init_std / sqrt(2 * n_layers)",
        ),
    ),
    *(
        Mistake(
            id=f"transformer-matrices-redrawn-{name}",
            component=PART,
            old=_UNEMBED,
            new=(
                "self.unembed = None if config.tied_embeddings else Unembedding(config)\n"
                "        narrow = math.sqrt(2 * config.n_layers)\n"
                "        for name, parameter in self.named_parameters():\n"
                '            if name.split(".")[-1].startswith("W"):\n'
                f"                nn.init.normal_(parameter, std={std})"
            ),
            sentence=f"draws all matrices again, {how}",
            hints=_INIT_HINTS,
        )
        for name, (std, how) in _REDRAWN.items()
    ),
    Mistake(
        id="transformer-all-redrawn",
        component=PART,
        old=_UNEMBED,
        new=(
            "self.unembed = None if config.tied_embeddings else Unembedding(config)\n"
            "        for parameter in self.parameters():\n"
            "            nn.init.normal_(parameter, std=config.init_std)"
        ),
        sentence="draws all parameters from one distribution, gains and biases included",
        hints=(
            "What is a fresh gain, and a fresh bias?",
            "Gains start at 1 and biases at 0; the parts see to it.",
            "Draw nothing again in Transformer",
        ),
    ),
    Mistake(
        id="transformer-tap-pos-embed-of-sum",
        component=PART,
        old=_POS,
        new=("pos_embed = self.pos_embed(tokens)\n        self.hook_pos_embed(embed + pos_embed)"),
        sentence="shows the sum of the embeddings at hook_pos_embed",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="transformer-tap-embed-of-sum",
        component=PART,
        old=_POS,
        new=(
            "pos_embed = self.hook_pos_embed(self.pos_embed(tokens))\n"
            "        self.hook_embed(embed + pos_embed)"
        ),
        sentence="shows the sum of the embeddings at hook_embed",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="transformer-tied-by-linear",
        component=PART,
        old=_TIED,
        new="return F.linear(final, self.embed.W_E)",
        sentence="multiplies by W_E with F.linear",
        equivalent=True,
    ),
    Mistake(
        id="transformer-last-position-in-evaluation",
        component=PART,
        old=_TIED,
        new=(
            "logits = final @ self.embed.W_E.T\n        return logits if "
            "self.training else logits[:, -1:]"
        ),
        also=(
            (
                _UNTIED,
                (
                    "logits = self.unembed(final)\n            return logits if "
                    "self.training else logits[:, -1:]"
                ),
            ),
        ),
        sentence="returns the last position only, unless it is training",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="transformer-softmax-in-evaluation",
        component=PART,
        old=_TIED,
        new=(
            "logits = final @ self.embed.W_E.T\n        return logits if "
            "self.training else logits.softmax(dim=-1)"
        ),
        also=(
            (
                _UNTIED,
                (
                    "logits = self.unembed(final)\n            return logits if "
                    "self.training else logits.softmax(dim=-1)"
                ),
            ),
        ),
        sentence="returns probabilities, unless it is training",
        hints=_LOGITS_HINTS,
    ),
    *fixed_rates(PART, "transformer", (_LAYER,), _DROPOUT_HINTS, (0.2, 0.5)),
    Mistake(
        id="transformer-blocks-start-as-copies",
        component=PART,
        old=_BLOCKS,
        new=(
            "import copy\n\n        first = TransformerBlock(config)\n"
            "        copies = (copy.deepcopy(first) for _ in range(config.n_layers))\n"
            "        self.blocks = nn.ModuleList(copies)"
        ),
        sentence="starts with blocks that are copies of one another",
        hints=_INIT_HINTS,
    ),
]
