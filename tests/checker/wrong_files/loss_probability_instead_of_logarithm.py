"""One minus the mean probability of the right token.

next_token_loss: loss-one-minus-probability
"""


def next_token_loss(logits, tokens):
    targets = tokens[:, 1:]
    probabilities = logits[:, : targets.shape[1]].softmax(dim=-1)  # <-
    return 1 - probabilities.gather(-1, targets[..., None]).mean()
