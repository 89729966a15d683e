"""The loss summed over positions and averaged over the rows.

next_token_loss: loss-mean-over-batch-only
"""


def next_token_loss(logits, tokens):
    targets = tokens[:, 1:]
    log_probabilities = logits[:, : targets.shape[1]].log_softmax(dim=-1)
    scores = log_probabilities.gather(2, targets.unsqueeze(2)).squeeze(2)
    return -scores.sum(dim=1).mean()  # <-
