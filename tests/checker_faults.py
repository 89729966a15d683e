"""For every check a fault that it must reject: (part, the check's sentence, old, new)."""

# ruff: noqa: E501

LN_END = "return normalized * self.w + self.b"
SCALE = "scale = self.hook_scale((variance + self.eps).sqrt())"
MASK = "scores = similarity + mask"
UNMASKED = "scores = similarity"
MLP_END = "return self.output_dropout(output)\n"
TIED = "return final @ tied_W_U"
UNTIED = "return self.unembed(final)"
LOSS_END = "    return F.cross_entropy(\n"
DRAW = "    rank = torch.multinomial(probabilities, num_samples=1, generator=generator)"
NEXT = "            tokens = torch.cat([tokens, rearrange(next_token, "
STEP = "    optimizer.step()\n"
CLIP = "grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item()"
RECORD = "        yield TrainRecord(step + 1, result.loss, result.grad_norm, rate, tokens)"
GREEDY = "    if temperature == 0:\n        return logits.argmax(dim=-1)\n"

MODULES = [
    ("LayerNorm", "It is built from a TransformerConfig, called", LN_END, "normalized"),
    ("LayerNorm", "Its parameters have the names and shapes", "self.b = nn.Parameter(torch.zeros(config.d_model))", "self.b = 0"),
    ("LayerNorm", "Its output is right in float32", LN_END, "return normalized * self.w"),
    ("LayerNorm", "It gives what TransformerLens gives", LN_END, "return normalized + self.b"),
    ("LayerNorm", "Its input is left unchanged", SCALE, SCALE + "\n        residual.mul_(2)"),
    ("LayerNorm", "Every parameter, and the input, gets the right", SCALE, SCALE.replace("self.eps)", "self.eps).detach()")),
    ("LayerNorm", "The activations at its taps are right", LN_END, "return self.hook_normalized(normalized * self.w + self.b)"),
    ("LayerNorm", "Fresh parameters are drawn", "self.w = nn.Parameter(torch.ones(", "self.w = nn.Parameter(torch.zeros("),
    ("LayerNorm", "A row of equal numbers", SCALE, SCALE.replace("(variance + self.eps)", "variance")),
    ("LayerNorm", "Epsilon is the configuration's", "self.eps = config.layer_norm_eps", "self.eps = 1e-5"),
    ("Embedding", "A row of the batch does not depend", "return self.W_E[tokens]", "return self.W_E[tokens] + self.W_E[tokens[1:]].mean()"),
    ("Embedding", "Fresh parameters are drawn", "self.W_E = normal_parameter(config.d_vocab, config.d_model, std=config.init_std)", "self.W_E = normal_parameter(config.d_vocab, config.d_model, std=1.0)"),
    ("MultiHeadAttention", "Nothing else is trainable or saved", "self.d_head = d_head", 'self.d_head = d_head\n        self.register_buffer("mask", torch.ones(3))'),
    ("MultiHeadAttention", "Nothing else is trainable or saved", "self.d_head = d_head", "self.d_head = d_head\n        self.mask = nn.Parameter(torch.ones(3))"),
    ("MultiHeadAttention", "It works for one position", "seq = residual.shape[1]", "seq = 11"),
    ("MultiHeadAttention", "It computes on the device of its input", "similarity.new_full(", "torch.full("),
    ("MultiHeadAttention", "No position sees a later one", MASK, UNMASKED),
    ("MultiHeadAttention", "Fresh parameters are drawn", "std=residual_std(config))\n        self.b_Q", "std=config.init_std)\n        self.b_Q"),
    ("MultiHeadAttention", "Every parameter, and the input", "self.hook_k(einsum(residual, self.W_K, project) + self.b_K)", "self.hook_k(einsum(residual, self.W_K, project))"),
    ("MLP", "An input that is not contiguous", "        post = self.hook_post", "        residual.view(-1)\n        post = self.hook_post"),
    ("MLP", "Without dropout, training mode", MLP_END, "return output * (2 if self.training else 1)\n"),
    ("MLP", "In evaluation mode nothing is dropped", MLP_END, "return F.dropout(output, self.output_dropout.p)\n"),
    ("MLP", "In training mode dropout drops", MLP_END, "return output\n"),
    ("MLP", "In training mode dropout drops", MLP_END, "return self.output_dropout(output) * (0.75 if self.training else 1)\n"),
    ("MLP", "Dropout zeroes elements of the output", MLP_END, "return self.output_dropout(output) + self.b_out"),
    ("MultiHeadAttention", "Dropout zeroes entries of the pattern", "self.pattern_dropout(pattern)", "pattern"),
    ("TransformerBlock", "It drops nothing beside", "self.hook_mlp_out(self.mlp(", "F.dropout(p=0.1, training=self.training, input=self.mlp("),
    ("Transformer", "Dropout zeroes features of the sum", "residual = self.embed_dropout(embed + pos_embed)", "residual = self.embed_dropout(embed) + pos_embed"),
    ("PositionalEmbedding", "More than n_ctx positions are refused", "if seq > self.n_ctx:", "if seq > self.n_ctx:\n            return self.W_pos[torch.arange(seq) % self.n_ctx].expand(batch, -1, -1)\n        if False:"),
    ("Transformer", "With untied embeddings, its parameters", "None if config.tied_embeddings else Unembedding(config)", "None"),
    ("Transformer", "With untied embeddings, nothing else", "self.config = config\n", "self.config = config\n        self.register_buffer('a', torch.ones(1))\n"),
    ("Transformer", "With untied embeddings, its output", UNTIED, "return self.unembed(residual)"),
    ("Transformer", "With untied embeddings, every parameter", UNTIED, "return self.unembed(final).detach()"),
    ("Transformer", "With untied embeddings, the activations", "embed = self.hook_embed(self.embed(tokens))", "embed = self.embed(tokens) + 0 * self.hook_embed(2 * self.embed(tokens))"),
    ("Transformer", "GPT-2's weights load strictly", "self.embed = Embedding(config)", "self.embed = Embedding(config)\n        self.extra = LayerNorm(config)"),
    ("Transformer", "Its parameters have the names", "nn.ModuleList(TransformerBlock(config) for _ in range(config.n_layers))", "[TransformerBlock(config) for _ in range(config.n_layers)]"),
    ("Transformer", "No position sees a later token", "residual = self.embed_dropout(embed + pos_embed)", "residual = embed + pos_embed + embed.mean(dim=1, keepdim=True)"),
    ("Transformer", "More than n_ctx tokens are refused", "embed = self.hook_embed(self.embed(tokens))", "tokens = tokens[:, :12]\n        embed = self.hook_embed(self.embed(tokens))"),
    ("Transformer", "It keeps its configuration", "self.config = config\n", "\n"),
    ("Transformer", "Before training the loss", TIED, TIED + " * 12"),
    ("Transformer", "In training mode the first block reads", "residual = self.embed_dropout(embed + pos_embed)", "residual = self.embed_dropout(embed) + self.embed_dropout(pos_embed)"),
    ("Transformer", "In training mode dropout drops", "residual = self.embed_dropout(embed + pos_embed)", "residual = embed + pos_embed"),
]  # fmt: skip

FUNCTIONS = [
    ("next_token_loss", "It is called with logits", LOSS_END, "    return None\n" + LOSS_END),
    ("next_token_loss", "It scores every position", "targets = tokens[:, 1:]", "targets = tokens[:, : seq_tokens - 1]"),
    ("next_token_loss", "The logits get the right gradient", "predictions = logits if seq_tokens > seq else logits[:, :-1]", "predictions = logits[:, : seq_tokens - 1].detach() + 0 * logits.sum()"),
    ("next_token_loss", "Knowing nothing costs", LOSS_END, "    return -F.cross_entropy(\n"),
    ("next_token_loss", "Logits in the thousands", LOSS_END, "    return F.nll_loss(*(\n        [a.exp().div(a.exp().sum(-1, True)).log() if a.is_floating_point() else a for a in (predictions.flatten(0, 1), targets.flatten())]\n    ))\n" + LOSS_END),
    ("next_token_loss", "Logits and tokens that are not contiguous", LOSS_END, "    logits.view(-1)\n" + LOSS_END),
    ("next_token_loss", "Its inputs are left unchanged", LOSS_END, "    logits.mul_(2)\n" + LOSS_END),
    ("sample", "It is called with logits", "squeeze(-1)", "squeeze(-1).float()"),
    ("sample", "Temperature 0 takes", GREEDY, ""),
    ("sample", "It draws from the softmax", DRAW, "    rank = probabilities.argmax(dim=-1, keepdim=True)"),
    ("sample", "The temperature divides", "(relative / temperature)", "(relative * temperature)"),
    ("sample", "top_k keeps the k", "descending[:, top_k:] =", "descending[:, top_k + 1 :] ="),
    ("sample", "A top_k above d_vocab", "descending[:, top_k:] =", "assert top_k <= descending.shape[1]\n        descending[:, top_k:] ="),
    ("sample", "top_p keeps the token", "probability_of_better_ranks >= top_p", "probabilities.cumsum(-1) > top_p"),
    ("sample", "A top_p of 1", "probability_of_better_ranks >= top_p", "probability_of_better_ranks >= 0.7 * top_p"),
    ("sample", "The temperature comes before top_p", "probability_of_better_ranks = probabilities.cumsum(dim=-1) - probabilities", "p = (descending * temperature).softmax(-1)\n        probability_of_better_ranks = p.cumsum(dim=-1) - p"),
    ("sample", "top_p counts what top_k has left", "    if top_k is not None:\n        descending[:, top_k:] = -math.inf\n    probabilities = descending.softmax(dim=-1)", "    probabilities = descending.softmax(dim=-1)\n    if top_k is not None:\n        probabilities[:, top_k:] = 0"),
    ("sample", "All three together", "probability_of_better_ranks >= top_p", "probability_of_better_ranks >= top_p - 0.2"),
    ("sample", "What leaves one token", "    if top_k is not None:\n        desc", "    if top_k is not None and top_k > 1:\n        desc"),
    ("sample", "Its chance comes from", "num_samples=1, generator=generator", "num_samples=1"),
    ("sample", "An impossible token", DRAW, "    probabilities = probabilities + 1e-3\n" + DRAW),
    ("sample", "The logits are left unchanged", DRAW, "    logits.zero_()\n" + DRAW),
    ("generate", "It is called with a model", NEXT, "            tokens = [tokens]\n" + NEXT),
    ("generate", "Its greedy continuation", "logits[:, -1],", "logits[:, 0],"),
    ("generate", "The model never sees more", "tokens[:, -config.n_ctx :]", "tokens"),
    ("generate", "It goes on whatever token", NEXT, "            if (next_token == config.d_vocab - 1).all():\n                break\n" + NEXT),
    ("generate", "No new tokens leave", "range(max_new_tokens)", "range(max(1, max_new_tokens))"),
    ("generate", "Temperature, top_k and top_p", "                top_k=top_k,\n                top_p=top_p,\n                generator=generator,\n            )\n", "                top_k=top_k,\n                generator=generator,\n            )\n"),
    ("generate", "Its chance comes from", "                top_p=top_p,\n                generator=generator,\n            )\n", "                top_p=top_p,\n            )\n"),
    ("generate", "Dropout is off meanwhile", "    model.eval()\n    try", "    try"),
    ("generate", "Dropout is off meanwhile", "model.train(was_training)", "model.eval()"),
    ("generate", "No gradients are kept", "@torch.no_grad()\ndef generate", "def generate"),
    ("generate", "The prompt is left unchanged", NEXT, "            tokens[:, 0] = 1\n" + NEXT),
    ("learning_rate", "It is called with a step", "    if step < warmup_steps:", "    if True:\n        return None\n    if step < warmup_steps:"),
    ("learning_rate", "It rises linearly", "peak * (step + 1) / warmup_steps", "peak * step / warmup_steps"),
    ("learning_rate", "It falls along half a cosine", "0.5 * (1 + math.cos(math.pi * progress))", "(1 - progress)"),
    ("learning_rate", "It ends at a tenth", "total_steps - 1\n    progress", "total_steps\n    progress"),
    ("learning_rate", "It ends at final_fraction", "final = final_fraction * peak", "final = 0.1 * peak"),
    ("learning_rate", "It needs no warm-up", "    if step < warmup_steps:", "    if warmup_steps == 0:\n        return final_fraction * peak / warmup_steps\n    if step < warmup_steps:"),
    ("parameter_groups", "It is called with a model", '{"params": vectors,', '{"parameters": vectors,'),
    ("parameter_groups", "Every parameter is in exactly", '{"params": vectors,', '{"params": vectors[1:],'),
    ("parameter_groups", "Matrices decay", 'name.split(".")[-1].startswith("W")', "parameter.dim() >= 2"),
    ("parameter_groups", "AdamW takes the groups", '{"params": vectors,', '{"params": vectors + matrices,'),
    ("train_step", "It is called, and tells", "return StepResult(mean_loss, grad_norm, tokens)", "return mean_loss"),
    ("train_step", "A step on one micro-batch", STEP, ""),
    ("train_step", "Several micro-batches", " * (batch[:, 1:].numel() / tokens)", ""),
    ("train_step", "Every target counts the same", "(batch[:, 1:].numel() / tokens)", "(1 / len(batches))"),
    ("train_step", "The gradient is clipped", CLIP, "grad_norm = nn.utils.clip_grad_value_(model.parameters(), max_grad_norm) or 1.0"),
    ("train_step", "Old gradients are forgotten", "    optimizer.zero_grad()\n", ""),
    ("train_step", "There is one update", "        losses.append(weighted_loss.detach())", "        optimizer.step()\n        losses.append(weighted_loss.detach())"),
    ("train_step", "Windows of n_ctx + 1 tokens", "    optimizer.zero_grad()\n", "    optimizer.zero_grad()\n    batches = [batch[:, :12] for batch in batches]\n"),
    ("train_step", "AdamW goes the same way", STEP, "    [p.grad.neg_() for p in model.parameters()]\n" + STEP),
    ("train_step", "What is not finite is refused", "math.isfinite(grad_norm)", "True"),
    ("train_step", "Its inputs are left unchanged", STEP, STEP + "    batches.clear()\n"),
    ("train", "It is called, and gives a record", RECORD, RECORD.replace("yield", "return")),
    ("train", "Its records count from 1", "TrainRecord(step + 1,", "TrainRecord(step,"),
    ("train", "The weights are those of", "max_grad_norm=max_grad_norm, loss=loss)\n        tokens", "loss=loss)\n        tokens"),
    ("train", "The schedule is asked for each step", "rate = schedule(step)", "rate = schedule(step + 1)"),
    ("train", "It gives each record before", "enumerate(steps)", "enumerate(list(steps))"),
    ("train", "Every step is taken in training mode", "        model.train()\n        result", "        result"),
    ("train", "It prints nothing", RECORD, "        print(step)\n" + RECORD),
]  # fmt: skip

# The part is right, and another part of the file is not.
TOGETHER = [
    ("Transformer", "All eight modules of the file", LN_END, "return normalized * self.w"),
    ("train", "All parts of the file together learn", '{"params": matrices,', '{"params": matrices[:2],'),
    ("train", "All parts together cannot foresee", MASK, UNMASKED),
]  # fmt: skip
