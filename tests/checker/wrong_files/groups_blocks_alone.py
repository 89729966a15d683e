"""Only the blocks.

parameter_groups: parameter-groups-blocks-only
"""


def parameter_groups(model, *, weight_decay):
    decay, no_decay = [], []
    for name, p in model.blocks.named_parameters():  # <-
        (decay if name.split(".")[-1].startswith("W") else no_decay).append(p)
    return [dict(params=decay, weight_decay=weight_decay), dict(params=no_decay, weight_decay=0.0)]
