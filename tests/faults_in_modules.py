"""Mistakes in the modules: the claim that rejects each, what it is, the edit that plants it."""

import test_attention as attention
import test_block as block
import test_embedding as embedding
import test_layer_norm as norm
import test_mlp as mlp
import test_positional_embedding as pos
import test_transformer as model
import test_unembedding as unembedding

VARIANCE = 'reduce(centered.square(), "batch seq d_model -> batch seq 1", "mean")'
CENTERED = 'centered = residual - reduce(residual, "batch seq d_model -> batch seq 1", "mean")'
ROOT = "(variance + self.eps).sqrt()"
GAIN = "return normalized * self.w + self.b"
LOOK_UP = "return self.W_E[tokens]"
POSITIONS = 'repeat(self.W_pos[:seq], "seq d_model -> batch seq d_model", batch=batch)'
SCALE = "query / math.sqrt(self.d_head),"
MASK = ".triu(diagonal=1)"
FILL = "scores = similarity + mask"
PATTERN = "self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=-1))"
GELU = 'return F.gelu(pre, approximate="tanh")'
PRE = "pre = F.linear(residual, self.W_in.T, self.b_in)"
POST = "post = self.hook_post(gelu_tanh(self.hook_pre(pre)))"
OUTPUT = "output = F.linear(post, self.W_out.T, self.b_out)"
MLP_END = "return self.output_dropout(output)\n"
READ_1 = "self.hook_attn_out(self.attn(self.ln1(resid_pre)))"
READ_2 = "self.hook_mlp_out(self.mlp(self.ln2(resid_mid)))"
RUN = "        for block in self.blocks:\n            residual = block(residual)\n"
FINAL = "final = self.ln_final(residual)"
UNEMBED = "            return self.unembed(final)\n"
TIED = "return final @ tied_W_U"

LAYER_NORM = [
    (norm.test_without_gain_and_bias_the_mean_is_zero_and_the_mean_square_one,
     "unbiased variance", VARIANCE, "residual.var(-1, keepdim=True)"),
    (norm.test_features_a_step_apart_are_divided_by_the_root_of_variance_plus_epsilon,
     "epsilon outside the root", ROOT, "variance.sqrt() + self.eps"),
    (norm.test_a_constant_position_gives_the_bias_and_finite_gradients,
     "no epsilon", ROOT, "variance.sqrt()"),
    (norm.test_features_a_step_apart_are_divided_by_the_root_of_variance_plus_epsilon,
     "another epsilon", "self.eps = config.layer_norm_eps", "self.eps = 1e-6"),
    (norm.test_features_a_step_apart_are_divided_by_the_root_of_variance_plus_epsilon,
     "epsilon squared", ROOT, "(variance + self.eps**2).sqrt()"),
    (norm.test_it_is_torchs_layer_norm, "no root", ROOT, "variance + self.eps"),
    (norm.test_adding_a_number_to_every_feature_changes_nothing,
     "not centred", CENTERED, "centered = residual"),
    (norm.test_adding_a_number_to_every_feature_changes_nothing,
     "variance around zero", VARIANCE, VARIANCE.replace("centered", "residual")),
    (norm.test_a_constant_position_gives_the_bias_and_finite_gradients,
     "no bias", GAIN, "return normalized * self.w"),
    (norm.test_it_is_torchs_layer_norm, "no gain", GAIN, "return normalized + self.b"),
    (norm.test_it_is_torchs_layer_norm, "gain and one", GAIN,
     "return normalized * (1 + self.w) + self.b"),
    (norm.test_a_negative_factor_turns_the_normalised_output_around,
     "absolute deviations", "centered / scale", "centered.abs() / scale"),
    (norm.test_every_position_is_normalised_by_itself,
     "statistics over the sequence", VARIANCE, VARIANCE.replace("-> batch seq", "-> batch 1")),
    (norm.test_rows_of_a_batch_do_not_touch_each_other,
     "statistics over the batch", VARIANCE, VARIANCE.replace("-> batch", "-> 1")),
    (norm.test_a_fresh_gain_is_one_and_a_fresh_bias_zero,
     "gain starts at 0", "torch.ones(config.d_model)", "torch.zeros(config.d_model)"),
    (norm.test_the_input_is_left_alone, "in place", "centered = residual -",
     "centered = residual.sub_("
     'reduce(residual, "batch seq d_model -> batch seq 1", "mean")); residual -'),
    (norm.test_hook_normalized_stands_before_gain_and_bias,
     "tap after the gain",
     "self.hook_normalized(centered / scale)\n        return normalized * self.w",
     "self.hook_normalized(centered / scale * self.w)\n        return normalized"),
    (norm.test_hook_scale_is_the_divisor, "tap of the variance",
     "self.hook_scale((variance + self.eps).sqrt())",
     "(self.hook_scale(variance) + self.eps).sqrt()"),
]  # fmt: skip

EMBEDDING = [
    (embedding.test_every_token_gets_its_own_row_unchanged,
     "scaled", LOOK_UP, LOOK_UP + " * self.W_E.shape[1] ** 0.5"),
    (embedding.test_every_token_gets_its_own_row_unchanged,
     "the next token's row", LOOK_UP, "return self.W_E[(tokens + 1) % len(self.W_E)]"),
    (embedding.test_the_first_and_the_last_token_are_like_any_other,
     "token 0 as padding", LOOK_UP, LOOK_UP + " * (tokens > 0).unsqueeze(-1)"),
    (embedding.test_the_row_of_token_zero_learns_too,
     "padding_idx", LOOK_UP, "return F.embedding(tokens, self.W_E, padding_idx=0)"),
    (embedding.test_rows_of_a_batch_do_not_touch_each_other,
     "axes swapped by a reshape", LOOK_UP, "return self.W_E[tokens.T.reshape(tokens.shape)]"),
    (embedding.test_a_row_learns_from_every_place_its_token_stands,
     "half detached", LOOK_UP, "return (self.W_E / 2 + self.W_E.detach() / 2)[tokens]"),
    (embedding.test_fresh_vectors_are_noise_of_the_configured_size, "drawn from N(0, 1)",
     "self.W_E = normal_parameter(config.d_vocab, config.d_model, std=config.init_std)",
     "self.W_E = normal_parameter(config.d_vocab, config.d_model, std=1.0)"),
]  # fmt: skip

POSITIONAL_EMBEDDING = [
    (pos.test_which_tokens_stand_there_does_not_matter,
     "indexed by the token", POSITIONS, "self.W_pos[tokens % self.n_ctx]"),
    (pos.test_every_position_of_every_row_gets_its_own_vector_from_zero_on,
     "positions from 1", POSITIONS, POSITIONS.replace("W_pos", "W_pos.roll(-1, 0)")),
    (pos.test_every_position_of_every_row_gets_its_own_vector_from_zero_on,
     "no batch axis", POSITIONS, "self.W_pos[:seq]"),
    (pos.test_every_position_of_every_row_gets_its_own_vector_from_zero_on,
     "every position there is", POSITIONS, POSITIONS.replace("[:seq]", "")),
    (pos.test_every_position_of_every_row_gets_its_own_vector_from_zero_on,
     "positions of the batch axis", POSITIONS, "self.W_pos[:batch].unsqueeze(1).repeat(1, seq, 1)"),
    (pos.test_there_are_n_ctx_positions_and_no_more,
     "the last position refused", "if seq > self.n_ctx", "if seq >= self.n_ctx"),
    (pos.test_there_are_n_ctx_positions_and_no_more,
     "too long goes unnoticed", "if seq > self.n_ctx", "if False"),
    (pos.test_a_position_learns_from_every_row_and_an_unused_one_not_at_all,
     "detached", POSITIONS, POSITIONS.replace("W_pos",
     "W_pos.detach()") + " + 0 * self.W_pos.sum()"),
]  # fmt: skip

ATTENTION = [
    (attention.test_it_is_torchs_scaled_dot_product_attention, "no scale", SCALE, "query,"),
    (attention.test_it_is_torchs_scaled_dot_product_attention,
     "scale of d_model", SCALE, "query / math.sqrt(residual.shape[-1]),"),
    (attention.test_scores_are_dot_products_over_the_root_of_the_head_width,
     "scale without the root", SCALE, "query / self.d_head,"),
    (attention.test_it_is_torchs_scaled_dot_product_attention,
     "multiplied", SCALE, "query * math.sqrt(self.d_head),"),
    (attention.test_every_row_of_the_pattern_sums_to_one, "scaled after the softmax",
     PATTERN, PATTERN.replace("dim=-1)", "dim=-1) / math.sqrt(self.d_head)")),
    (attention.test_no_gradient_of_an_output_reaches_a_later_position,
     "no mask", MASK, ".triu(diagonal=seq)"),
    (attention.test_changing_a_later_position_leaves_every_earlier_output_untouched,
     "mask one too late", MASK, ".triu(diagonal=2)"),
    (attention.test_the_first_position_sees_only_its_own_value,
     "diagonal masked", MASK, ".triu(diagonal=0)"),
    (attention.test_the_pattern_is_zero_above_the_diagonal,
     "the wrong triangle", MASK, ".tril(diagonal=-1)"),
    (attention.test_the_pattern_is_zero_above_the_diagonal,
     "filled with 0", FILL, "scores = similarity.masked_fill(mask.isinf(), 0.0)"),
    (attention.test_changing_a_later_position_leaves_every_earlier_output_untouched,
     "filled with -10", FILL, "scores = similarity.masked_fill(mask.isinf(), -10.0)"),
    (attention.test_with_equal_keys_every_position_takes_the_mean_of_the_values_so_far,
     "masked after the softmax", PATTERN,
     PATTERN.replace("scores)", "similarity)")[:-1] + ".masked_fill(mask.isinf(), 0.0))"),
    (attention.test_every_row_of_the_pattern_sums_to_one,
     "softmax over queries", PATTERN, PATTERN.replace("dim=-1", "dim=-2")),
    (attention.test_the_order_of_the_heads_does_not_matter,
     "only the first head", "self.hook_z(z)",
     "self.hook_z(z * (torch.arange(z.shape[2]) == 0).unsqueeze(-1))"),
    (attention.test_every_row_of_the_pattern_sums_to_one,
     "softmax over heads", PATTERN, PATTERN.replace("dim=-1", "dim=1")),
    (attention.test_rows_of_a_batch_do_not_touch_each_other,
     "softmax over the batch", PATTERN, PATTERN.replace("dim=-1", "dim=0")),
    (attention.test_it_is_torchs_scaled_dot_product_attention, "query and key swapped",
     "            query / math.sqrt(self.d_head),\n            key,\n",
     "            key,\n            query / math.sqrt(self.d_head),\n"),
    (attention.test_queries_keys_and_values_carry_their_biases,
     "keys by W_Q", "self.W_K, project)", "self.W_Q, project)"),
    (attention.test_queries_keys_and_values_carry_their_biases,
     "no key bias", "project) + self.b_K", "project)"),
    (attention.test_it_is_torchs_scaled_dot_product_attention,
     "no query bias", "project) + self.b_Q", "project)"),
    (attention.test_the_first_position_sees_only_its_own_value,
     "no value bias", "project) + self.b_V", "project)"),
    (attention.test_the_first_position_sees_only_its_own_value,
     "no output bias", "output + self.b_O", "output"),
    (attention.test_it_is_torchs_scaled_dot_product_attention, "heads merged without a transpose",
     "self.hook_z(z)", "self.hook_z(z).transpose(1, 2).reshape(z.shape)"),
    (attention.test_it_is_torchs_scaled_dot_product_attention, "pattern transposed",
     "self.pattern_dropout(pattern)", "self.pattern_dropout(pattern.mT)"),
    (attention.test_its_parameters_are_those_of_every_head_and_one_output_bias,
     "mask as a parameter", "self.d_head = d_head",
     "self.d_head = d_head\n        self.mask = nn.Parameter(torch.eye(config.n_ctx))"),
    (attention.test_fresh_weights_are_noise_and_smaller_where_they_write_into_the_stream,
     "residual weights not scaled", "heads, d_head, d_model, std=residual_std(config)",
     "heads, d_head, d_model, std=config.init_std"),
    (attention.test_dropout_zeroes_entries_of_the_pattern,
     "no dropout of the pattern", "self.pattern_dropout(pattern)", "pattern"),
    (attention.test_dropout_zeroes_entries_of_the_output,
     "no dropout of the output", "self.output_dropout(output + self.b_O)", "output + self.b_O"),
    (attention.test_eval_mode_knows_no_dropout, "dropout in eval mode",
     "self.pattern_dropout(pattern)", "F.dropout(pattern, self.pattern_dropout.p)"),
    (attention.test_hook_pattern_shows_the_pattern_before_dropout, "tap after dropout",
     PATTERN, "self.hook_pattern(self.pattern_dropout(self.hook_attn_scores(scores).softmax(-1)))"),
]  # fmt: skip

MLP = [
    (mlp.test_its_activation_is_the_tanh_formula_number_by_number,
     "the exact GELU", GELU, "return F.gelu(pre)"),
    (mlp.test_its_activation_is_the_tanh_formula_number_by_number, "ReLU", GELU,
     "return F.relu(pre)"),
    (mlp.test_its_activation_is_the_tanh_formula_number_by_number,
     "sigmoid approximation", GELU, "return pre * torch.sigmoid(1.702 * pre)"),
    (mlp.test_it_is_torchs_linear_gelu_linear, "no activation", GELU, "return pre"),
    (mlp.test_it_is_torchs_linear_gelu_linear, "activated twice", POST,
     POST + "\n        post = gelu_tanh(post)"),
    (mlp.test_without_input_weights_every_position_gets_the_activated_bias,
     "no input bias", PRE, "pre = residual @ self.W_in"),
    (mlp.test_without_input_weights_every_position_gets_the_activated_bias,
     "bias after the activation", POST, "post = gelu_tanh(pre - self.b_in) + self.b_in"),
    (mlp.test_it_is_torchs_linear_gelu_linear, "no output bias", OUTPUT,
     "output = post @ self.W_out"),
    (mlp.test_its_parameters_are_two_linear_maps, "a fixed hidden width",
     "config.d_model, config.d_mlp, std", "config.d_model, 4 * config.d_model, std"),
    (mlp.test_fresh_weights_are_noise_and_smaller_where_they_write_into_the_stream,
     "residual weights not scaled", "config.d_model, std=residual_std(config)",
     "config.d_model, std=config.init_std"),
    (mlp.test_dropout_zeroes_entries_of_the_output,
     "no dropout", MLP_END, "return output\n"),
    (mlp.test_eval_mode_knows_no_dropout, "dropout in eval mode",
     MLP_END, "return F.dropout(output, self.output_dropout.p)\n"),
    (mlp.test_hook_pre_and_hook_post_stand_around_the_activation,
     "tap before the bias", "self.hook_pre(pre)", "self.hook_pre(pre - self.b_in) + self.b_in"),
]  # fmt: skip

BLOCK = [
    (block.test_with_both_parts_silent_the_stream_passes_unchanged, "norm after the sum",
     "self.hook_resid_mid(resid_pre + attn_out)",
     "self.hook_resid_mid(self.ln1(resid_pre + attn_out))"),
    (block.test_with_a_silent_mlp_attention_of_the_first_norm_is_added,
     "no first norm", READ_1, "self.attn(resid_pre)"),
    (block.test_with_a_silent_attention_the_mlp_of_the_second_norm_is_added,
     "no second norm", READ_2, "self.mlp(resid_mid)"),
    (block.test_with_a_silent_attention_the_mlp_of_the_second_norm_is_added,
     "one norm for both", READ_2, "self.mlp(self.ln1(resid_mid))"),
    (block.test_with_both_parts_silent_the_stream_passes_unchanged,
     "attention not added", "(resid_pre + attn_out)", "(attn_out)"),
    (block.test_with_both_parts_silent_the_stream_passes_unchanged,
     "MLP not added", "(resid_mid + mlp_out)", "(mlp_out)"),
    (block.test_the_mlp_reads_what_attention_wrote, "in parallel", READ_2,
     "self.mlp(self.ln2(resid_pre))"),
    (block.test_with_a_silent_mlp_attention_of_the_first_norm_is_added,
     "attention's path dropped", "(resid_mid + mlp_out)", "(resid_pre + mlp_out)"),
    (block.test_it_is_a_block_of_torchs_own_operations, "no MLP", "(resid_mid + mlp_out)",
     "(resid_mid)"),
    (block.test_the_taps_show_the_stream_and_what_is_added_to_it,
     "tap of the sum", "self.hook_mlp_out(self.mlp(", "self.hook_mlp_out(resid_mid + self.mlp("),
    (block.test_its_parts_are_two_norms_an_attention_and_an_mlp, "one norm under two names",
     "self.ln2 = LayerNorm(config)", "self.ln2 = self.ln1"),
]  # fmt: skip

UNEMBEDDING = [
    (unembedding.test_a_zero_vector_gives_the_bias, "no bias", "            + self.b_U\n", ""),
    (unembedding.test_the_map_is_linear, "log-probabilities",
     "            + self.b_U\n        )\n", "            + self.b_U\n        ).log_softmax(-1)\n"),
    (unembedding.test_fresh_weights_are_noise_and_the_bias_is_zero, "drawn from N(0, 1)",
     "config.d_model, config.d_vocab, std=config.init_std",
     "config.d_model, config.d_vocab, std=1.0"),
]  # fmt: skip

TRANSFORMER = [
    (model.test_logits_are_not_normalised,
     "log-probabilities", UNEMBED, "            return self.unembed(final).log_softmax(-1)\n"),
    (model.test_a_tied_model_is_gpt2_of_torchs_own_operations,
     "only the last position", TIED, "return final[:, -1:] @ self.embed.W_E.T"),
    (model.test_with_silent_blocks_the_final_norm_of_both_embeddings_is_unembedded,
     "no final norm", FINAL, "final = residual"),
    (model.test_with_silent_blocks_the_final_norm_of_both_embeddings_is_unembedded,
     "the final norm twice", FINAL, "final = self.ln_final(self.ln_final(residual))"),
    (model.test_with_silent_blocks_the_final_norm_of_both_embeddings_is_unembedded,
     "no positions", "embed + pos_embed", "embed"),
    (model.test_with_silent_blocks_the_final_norm_of_both_embeddings_is_unembedded,
     "positions twice", "embed + pos_embed", "embed + 2 * pos_embed"),
    (model.test_every_block_is_run_once_in_order,
     "one block run", RUN, "        residual = self.blocks[0](residual)\n"),
    (model.test_every_block_is_run_once_in_order,
     "one block for every layer", RUN, RUN.replace("= block(", "= self.blocks[0](")),
    (model.test_a_tied_model_holds_the_same_but_no_unembedding, "a plain list of blocks",
     "nn.ModuleList(TransformerBlock(config) for _ in range(config.n_layers))",
     "[TransformerBlock(config) for _ in range(config.n_layers)]"),
    (model.test_gpt2_small_has_124_439_808_parameters,
     "the tie broken", "None if config.tied_embeddings else Unembedding(config)",
     "Unembedding(config)"),
    (model.test_an_untied_unembedding_is_no_other_layers_weight, "tied always", UNEMBED,
     "            return final @ self.embed.W_E.T\n"),
    (model.test_a_tied_weight_learns_from_both_its_uses,
     "a tie that does not learn", TIED, "return final @ self.embed.W_E.T.detach()"),
    (model.test_tied_weights_stay_tied_through_save_load_and_a_training_step,
     "a tie to the weights at the start", FINAL,
     FINAL + "\n        self.held = getattr(self, 'held', self.embed.W_E.detach().T.clone())"
     "\n        if self.unembed is None:\n            return final @ self.held"),
    (model.test_no_gradient_of_an_output_reaches_a_later_token, "the mean over positions mixed in",
     FINAL, "final = self.ln_final(residual + 1e-3 * residual.mean(1, keepdim=True))"),
    (model.test_a_fresh_model_is_a_little_worse_than_guessing,
     "logits much too large", FINAL, "final = residual * 500"),
    (model.test_dropout_acts_on_the_sum_of_the_embeddings,
     "no dropout of the sum", "self.embed_dropout(embed + pos_embed)", "embed + pos_embed"),
    (model.test_dropout_acts_on_the_sum_of_the_embeddings, "dropout of tokens alone",
     "self.embed_dropout(embed + pos_embed)", "self.embed_dropout(embed) + pos_embed"),
    (model.test_eval_mode_knows_no_dropout, "dropout in eval mode",
     "self.embed_dropout(embed + pos_embed)", "F.dropout(embed + pos_embed, self.config.dropout)"),
]  # fmt: skip

FAULTS = [*LAYER_NORM, *EMBEDDING, *POSITIONAL_EMBEDDING, *ATTENTION, *MLP, *BLOCK]
FAULTS += [*UNEMBEDDING, *TRANSFORMER]
