"""Groups that look for bias in the name, which no parameter here has.

parameter_groups: parameter-groups-by-bias
"""


def parameter_groups(model, *, weight_decay):
    decay, no_decay = [], []
    for name, parameter in model.named_parameters():
        if "bias" in name or "ln" in name:  # <-
            no_decay.append(parameter)
        else:
            decay.append(parameter)
    return [
        {"params": decay, "weight_decay": weight_decay},
        {"params": no_decay, "weight_decay": 0.0},
    ]
