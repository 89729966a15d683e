"""Mistakes in the functions: the claim that rejects each, what it is, the edit that plants it."""

import test_config as config
import test_generation as generation
import test_loss as loss
import test_parameter_groups as groups
import test_sampling as sampling
import test_schedule as schedule
import test_train as train
import test_train_step as step

PREDICTIONS = "predictions = logits if seq_tokens > seq else logits[:, :-1]"
TARGETS = "targets = tokens[:, 1:]"
FLAT = 'rearrange(predictions, "batch seq d_vocab -> (batch seq) d_vocab"),'
FLAT_TARGETS = '        rearrange(targets, "batch seq -> (batch seq)"),\n    )'
TEMPERED = "(relative / temperature)"
TOP_K = "descending[:, top_k:] = -math.inf"
KEPT = "probability_of_better_ranks >= top_p"
DRAW = "torch.multinomial(probabilities, num_samples=1, generator=generator)"
RESTORED = "token_of_rank.gather(dim=-1, index=rank)"
WINDOW = "model(tokens[:, -config.n_ctx :])"
PROGRESS = "progress = 1.0 if step >= last_step else"
HALF_COSINE = "0.5 * (1 + math.cos(math.pi * progress))"
IS_MATRIX = 'is_matrix = name.split(".")[-1].startswith("W")'
SHARE = "(batch[:, 1:].numel() / tokens)"
CLIP = "nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item()"
UPDATE = "    optimizer.step()\n"
FINITE = "if not (math.isfinite(mean_loss) and math.isfinite(grad_norm)):"
SYNC = "last=number == len(batches)"

CONFIG = [
    (config.test_the_defaults_are_gpt2_small, "another vocabulary", "50257", "50304"),
    (config.test_widths_left_out_follow_from_the_others, "a fixed head width",
     "value = max(1, self.d_model // self.n_heads)", "value = 64"),
    (config.test_heads_that_do_not_divide_the_width_are_refused_with_both_numbers,
     "a rest of the width unused", "if self.n_heads * self.d_head != self.d_model:", "if False:"),
    (config.test_numbers_that_make_no_model_are_refused_with_their_name_and_value,
     "NaN goes unnoticed", "if not 0 <= self.dropout < 1:",
     "if self.dropout < 0 or self.dropout >= 1:"),
    (config.test_a_configuration_does_not_change, "not frozen",
     '@dataclass(frozen=True, kw_only=True)\n', "@dataclass(kw_only=True)\n"),
]  # fmt: skip

LOSS = [
    (loss.test_certainty_of_the_next_token_costs_nothing, "no shift",
     TARGETS, "targets = tokens[:, : seq_tokens - 1]"),
    (loss.test_a_token_is_scored_by_the_logits_one_position_before_it, "shifted the wrong way",
     TARGETS, "targets = tokens.roll(1, dims=1)[:, : seq_tokens - 1]"),
    (loss.test_certainty_of_a_wrong_token_costs_the_difference_of_the_logits_exactly,
     "softmax before the cross-entropy", PREDICTIONS,
     PREDICTIONS + "\n    predictions = predictions.softmax(-1)"),
    (loss.test_certainty_of_a_wrong_token_costs_the_difference_of_the_logits_exactly,
     "logarithm of a softmax", PREDICTIONS,
     PREDICTIONS + "\n    predictions = (predictions.softmax(-1) + 1e-10).log()"),
    (loss.test_the_loss_of_a_batch_is_the_mean_of_the_losses_of_its_rows, "summed",
     FLAT_TARGETS, FLAT_TARGETS[:-5] + "        reduction='sum',\n    )"),
    (loss.test_equal_logits_cost_the_logarithm_of_the_vocabulary, "averaged over the batch alone",
     FLAT_TARGETS, FLAT_TARGETS[:-5] + "        reduction='sum',\n    ) / len(tokens)"),
    (loss.test_by_hand_on_two_rows_of_two_targets, "batch and sequence mixed up",
     FLAT, FLAT.replace("(batch seq)", "(seq batch)")),
    (loss.test_equal_logits_cost_the_logarithm_of_the_vocabulary, "in bits",
     FLAT_TARGETS, FLAT_TARGETS + " / math.log(2)"),
    (loss.test_token_zero_counts_like_any_other, "token 0 as padding",
     FLAT_TARGETS, FLAT_TARGETS[:-5] + "        ignore_index=0,\n    )"),
    (loss.test_it_is_the_mean_over_all_targets_of_torchs_cross_entropy, "the last target left out",
     PREDICTIONS, "predictions = logits[:, : max(seq_tokens - 2, 1)]; "
     "targets = targets[:, : max(seq_tokens - 2, 1)]"),
    (loss.test_other_lengths_are_refused_with_both_numbers, "any length accepted",
     "if seq_tokens not in (seq, seq + 1):", "if False:"),
    (loss.test_a_single_token_has_nothing_to_be_scored, "a mean of nothing",
     "if targets.numel() == 0:", "if False:"),
]  # fmt: skip

EXACT = sampling.test_tokens_are_drawn_from_exactly_the_distribution_asked_for
SAMPLING = [
    (EXACT, "multiplied by the temperature", TEMPERED, "(relative * temperature)"),
    (EXACT, "temperature ignored", TEMPERED, "logits.float()"),
    (EXACT, "temperature twice", TEMPERED, "(logits.float() / temperature**2)"),
    (EXACT, "temperature on probabilities", TEMPERED,
     "(logits.float().softmax(-1) / temperature)"),
    (EXACT, "one more than top-k", TOP_K, "descending[:, top_k + 1 :] = -math.inf"),
    (EXACT, "0 in place of minus infinity", TOP_K, "descending[:, top_k:] = 0.0"),
    (EXACT, "drawn from logits squared", DRAW, DRAW.replace("ities,", "ities**1.1,")),
    (EXACT, "a twentieth off", DRAW, DRAW.replace("ities,", "ities + 0.05,")),
    (sampling.test_top_k_of_one_is_greedy, "top-k ignored", TOP_K, "pass"),
    (sampling.test_the_token_that_crosses_top_p_is_kept, "the crossing token dropped",
     KEPT, "probability_of_better_ranks + probabilities >= top_p"),
    (sampling.test_the_token_that_crosses_top_p_is_kept, "one token too many",
     KEPT, "(probability_of_better_ranks - probabilities.roll(1, -1)) >= top_p"),
    (sampling.test_top_p_counts_probabilities_renormalised_after_top_k, "top-p before top-k",
     "    probabilities = descending.softmax(dim=-1)\n",
     "    probabilities = (logits.float() / temperature).softmax(-1).sort(-1, True).values\n"
     "    probabilities = probabilities.masked_fill(descending.isinf(), 0.0)\n"),
    (sampling.test_top_p_counts_probabilities_after_the_temperature, "top-p before the temperature",
     "probabilities.cumsum(dim=-1) - probabilities",
     "logits.float().softmax(-1).sort(-1, True).values.cumsum(-1).roll(1, -1) % 1.0"),
    (sampling.test_top_k_of_one_is_greedy, "sorted upwards", "descending=True", "descending=False"),
    (sampling.test_every_row_is_drawn_from_its_own_logits, "order not restored", RESTORED, "rank"),
    (EXACT, "the most likely in place of a draw", DRAW, "probabilities.argmax(-1, keepdim=True)"),
    (sampling.test_every_row_is_drawn_by_itself, "one draw for two rows", DRAW,
     DRAW + "[::2].repeat_interleave(2, dim=0)[: len(logits)]"),
    (sampling.test_one_seed_gives_the_same_tokens_again, "the generator ignored",
     DRAW, "torch.multinomial(probabilities, num_samples=1)"),
    (sampling.test_another_seed_gives_other_tokens, "a seed of its own", DRAW,
     "torch.multinomial(probabilities, 1, generator=torch.Generator().manual_seed(0))"),
    (sampling.test_the_logits_are_left_alone, "logits changed in place",
     TEMPERED, "logits.float().div_(temperature)"),
    (sampling.test_temperature_zero_takes_the_most_likely_token, "greedy takes the least likely",
     "return logits.argmax(dim=-1)", "return logits.argmin(dim=-1)"),
    (sampling.test_settings_that_make_no_sense_are_refused_with_their_value, "top-k of 0 accepted",
     "if top_k is not None and top_k < 1:", "if False:"),
]  # fmt: skip

GENERATION = [
    (generation.test_every_row_is_continued_from_its_last_n_ctx_tokens,
     "the first position's logits", "logits[:, -1],", "logits[:, 0],"),
    (generation.test_every_row_is_continued_from_its_last_n_ctx_tokens,
     "the first n_ctx tokens", WINDOW, "model(tokens[:, : config.n_ctx])"),
    (generation.test_every_row_is_continued_from_its_last_n_ctx_tokens,
     "one token less than fits", WINDOW, "model(tokens[:, -config.n_ctx + 1 :])"),
    (generation.test_every_row_is_continued_from_its_last_n_ctx_tokens,
     "the context not cut", WINDOW, "model(tokens)"),
    (generation.test_the_prompt_comes_back_with_as_many_tokens_as_asked_for,
     "the new tokens alone", "    return tokens\n\n\ndef learning_rate",
     "    return tokens[:, -max_new_tokens:]\n\n\ndef learning_rate"),
    (generation.test_temperature_top_k_and_top_p_are_handed_to_sample, "top-k forgotten",
     "                top_k=top_k,\n", ""),
    (generation.test_one_seed_gives_the_same_text_again_and_another_a_different_one,
     "the generator forgotten", "                generator=generator,\n", ""),
    (generation.test_the_model_runs_in_eval_mode_and_is_left_in_the_mode_it_was_in,
     "under dropout", "    model.eval()\n", ""),
    (generation.test_the_model_runs_in_eval_mode_and_is_left_in_the_mode_it_was_in,
     "left in eval mode", "model.train(was_training)", "model.eval()"),
    (generation.test_the_model_runs_in_eval_mode_and_is_left_in_the_mode_it_was_in,
     "left in training mode", "model.train(was_training)", "model.train()"),
    (generation.test_the_mode_is_put_back_after_an_exception, "put back only when all is well",
     "    finally:\n        model.train(was_training)\n",
     "    except ZeroDivisionError:\n        raise\n    model.train(was_training)\n"),
    (generation.test_no_gradients_are_kept_while_generating_and_they_are_on_again_afterwards,
     "gradients kept", "@torch.no_grad()\n", ""),
    (generation.test_two_new_tokens_have_exactly_the_probability_of_their_chain,
     "one token repeated", "[tokens, rearrange", "[tokens, tokens[:, 1:2] if tokens.shape[1] > 1 "
     "else rearrange"),
]  # fmt: skip

SCHEDULE = [
    (schedule.test_the_warm_up_is_linear_and_its_first_step_already_learns,
     "a first step of 0", "peak * (step + 1) / warmup_steps", "peak * step / warmup_steps"),
    (schedule.test_the_last_step_of_all_has_the_final_fraction_of_the_peak,
     "the end one step late", "max(warmup_steps - 1, 0), total_steps - 1",
     "max(warmup_steps - 1, 0), total_steps"),
    (schedule.test_between_peak_and_end_lies_half_a_cosine,
     "a straight line", HALF_COSINE, "(1 - progress)"),
    (schedule.test_the_last_step_of_all_has_the_final_fraction_of_the_peak,
     "down to 0", "final = final_fraction * peak", "final = 0.0"),
    (schedule.test_the_last_step_of_all_has_the_final_fraction_of_the_peak,
     "a floor that is no fraction", "final = final_fraction * peak", "final = final_fraction"),
    (schedule.test_after_the_last_step_the_rate_stays, "up again afterwards",
     PROGRESS, "progress = 1.0 if step == last_step else"),
    (schedule.test_the_final_fraction_is_a_tenth_unless_told_otherwise,
     "another default", "final_fraction: float = 0.1", "final_fraction: float = 0.0"),
    (schedule.test_numbers_that_make_no_schedule_are_refused_with_their_value,
     "NaN accepted", "if not 0 <= peak < math.inf:", "if peak < 0 or peak == math.inf:"),
]  # fmt: skip

PARAMETER_GROUPS = [
    (groups.test_the_biases_of_queries_keys_and_values_do_not_decay_though_stored_a_row_a_head,
     "two axes make a matrix", IS_MATRIX, "is_matrix = parameter.ndim >= 2"),
    (groups.test_exactly_the_matrices_decay, "everything decays", IS_MATRIX, "is_matrix = True"),
    (groups.test_exactly_the_matrices_decay, "gains decay",
     IS_MATRIX, IS_MATRIX.replace('startswith("W")', 'lower().startswith("w")')),
    (groups.test_exactly_the_matrices_decay, "embeddings do not decay",
     IS_MATRIX, IS_MATRIX + ' and "embed." not in name'),
    (groups.test_every_parameter_is_in_exactly_one_group, "vectors forgotten",
     "(matrices if is_matrix else vectors).append(parameter)",
     "matrices.append(parameter) if is_matrix else None"),
]  # fmt: skip

TRAIN_STEP = [
    (step.test_gradients_left_over_from_before_do_not_count,
     "gradients not zeroed", "    optimizer.zero_grad()\n", ""),
    (step.test_the_update_goes_downhill, "zeroed before the step",
     UPDATE, "    optimizer.zero_grad()\n" + UPDATE),
    (step.test_micro_batches_make_the_step_of_one_big_batch, "micro-batches added up", SHARE, "1"),
    (step.test_a_step_is_torchs_own_on_the_mean_over_all_targets,
     "micro-batches of equal weight", SHARE, "(1 / len(batches))"),
    (step.test_micro_batches_make_the_step_of_one_big_batch, "only the last micro-batch learns",
     "            weighted_loss.backward()\n",
     "            optimizer.zero_grad()\n            weighted_loss.backward()\n"),
    (step.test_clipping_shortens_the_whole_gradient_and_keeps_its_direction,
     "clipped parameter by parameter", CLIP, "sum(nn.utils.clip_grad_norm_(p, max_grad_norm) ** 2"
     " for p in model.parameters()).sqrt().item()"),
    (step.test_clipping_shortens_the_whole_gradient_and_keeps_its_direction, "clipped by value",
     CLIP, "nn.utils.get_total_norm([p.grad for p in model.parameters()]).item(); "
     "nn.utils.clip_grad_value_(model.parameters(), max_grad_norm)"),
    (step.test_a_gradient_below_the_limit_is_left_as_it_is, "always scaled to the limit",
     CLIP, CLIP + "; [p.grad.mul_(max_grad_norm / grad_norm) for p in model.parameters()]"),
    (step.test_clipping_shortens_the_whole_gradient_and_keeps_its_direction,
     "the norm after clipping", CLIP, CLIP + "; grad_norm = min(grad_norm, max_grad_norm)"),
    (step.test_the_update_goes_downhill, "ascent",
     "weighted_loss.backward()", "(-weighted_loss).backward()"),
    (step.test_a_loss_that_is_not_a_number_leaves_everything_as_it_was,
     "updated before the look", "    " + FINITE, UPDATE + "    " + FINITE),
    (step.test_a_gradient_that_is_not_a_number_leaves_everything_as_it_was,
     "only the loss looked at", FINITE, "if not math.isfinite(mean_loss):"),
    (step.test_a_loss_that_is_not_a_number_leaves_everything_as_it_was,
     "nothing looked at", FINITE, "if False:"),
    (step.test_tokens_counts_the_targets, "all tokens counted",
     "tokens = sum(batch[:, 1:].numel()", "tokens = sum(batch.numel()"),
    (step.test_the_loss_is_that_before_the_update, "the last micro-batch's loss",
     "mean_loss = torch.stack(losses).sum().item()", "mean_loss = losses[-1].item()"),
    (step.test_a_distributed_model_exchanges_gradients_with_the_last_micro_batch_only,
     "exchanged every time", SYNC, "last=True"),
    (step.test_a_distributed_model_exchanges_gradients_with_the_last_micro_batch_only,
     "exchanged with the first", SYNC, "last=number == 1"),
    (step.test_no_micro_batch_is_refused, "a step of nothing",
     "    if not batches:\n", "    if not batches:\n        return StepResult(0.0, 0.0, 0)\n"),
]  # fmt: skip

TRAIN = [
    (train.test_records_count_from_one_and_tokens_add_up, "counted from 0",
     "TrainRecord(step + 1,", "TrainRecord(step,"),
    (train.test_records_count_from_one_and_tokens_add_up, "tokens of the step alone",
     "        tokens += result.tokens\n", "        tokens = result.tokens\n"),
    (train.test_the_schedule_is_asked_for_every_step_once_from_zero,
     "the next step's rate", "rate = schedule(step)", "rate = schedule(step + 1)"),
    (train.test_every_group_of_the_optimiser_gets_the_rate, "only the first group",
     "for group in optimizer.param_groups:", "for group in optimizer.param_groups[:1]:"),
    (train.test_every_step_is_torchs_own_at_the_rate_of_the_schedule, "the rate set too late",
     '            group["lr"] = rate\n', '            group.setdefault("lr", rate)\n'),
    (train.test_nothing_is_read_or_trained_before_it_is_asked_for, "all steps read at once",
     "in enumerate(steps):", "in enumerate(list(__import__('itertools').islice(steps, 9))):"),
    (train.test_it_prints_nothing, "it prints",
     "        tokens += result.tokens\n", "        tokens += result.tokens\n        print(step)\n"),
    (train.test_a_step_trains_in_training_mode_also_after_the_caller_has_evaluated,
     "left in eval mode", "        model.train()\n", ""),
    (train.test_the_limit_of_the_gradient_reaches_every_step, "the limit forgotten",
     "batches, optimizer, max_grad_norm=max_grad_norm, loss", "batches, optimizer, loss"),
    (train.test_a_transformer_does_not_learn_what_cannot_be_known, "the model sees the future",
     ".triu(diagonal=1)", ".triu(diagonal=2)"),
    (train.test_a_transformer_learns_what_follows_what, "never updated", UPDATE, ""),
]  # fmt: skip

FAULTS = [*CONFIG, *LOSS, *SAMPLING, *GENERATION, *SCHEDULE, *PARAMETER_GROUPS]
FAULTS += [*TRAIN_STEP, *TRAIN]
