"""Groups that leave the embeddings out of both.

parameter_groups: parameter-groups-embedding-matrices-forgotten
"""


def parameter_groups(model, *, weight_decay):
    decay = [p for n, p in model.named_parameters() if ".W" in n and "embed" not in n]  # <-
    rest = [p for n, p in model.named_parameters() if ".W" not in n]
    return [{"params": decay, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
