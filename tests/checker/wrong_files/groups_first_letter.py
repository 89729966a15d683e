"""Groups by the first letter of the whole name, where blocks begin with b.

parameter_groups: parameter-groups-by-first-letter
"""


def parameter_groups(model, *, weight_decay):
    named = list(model.named_parameters())
    return [
        {"params": [p for n, p in named if n[0] != "b"], "weight_decay": weight_decay},  # <-
        {"params": [p for n, p in named if n[0] == "b"], "weight_decay": 0.0},  # <-
    ]
