"""The groups hold pairs of a name and a parameter.

parameter_groups: unknown
"""


def parameter_groups(model, *, weight_decay):
    def is_matrix(pair):
        return pair[0].split(".")[-1].startswith("W")

    pairs = list(model.named_parameters())
    return [
        {"params": [pair for pair in pairs if is_matrix(pair)], "weight_decay": weight_decay},
        {"params": [pair for pair in pairs if not is_matrix(pair)], "weight_decay": 0.0},
    ]
