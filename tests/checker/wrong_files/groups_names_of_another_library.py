"""Names of another library: nothing here is called bias or norm.

parameter_groups: parameter-groups-all-decay
"""


def parameter_groups(model, *, weight_decay):
    no_decay = ["bias", "LayerNorm.weight", "norm"]
    decay = [p for n, p in model.named_parameters() if not any(nd in n for nd in no_decay)]  # <-
    rest = [p for n, p in model.named_parameters() if any(nd in n for nd in no_decay)]
    return [
        {"params": decay, "weight_decay": weight_decay},  # <-
        {"params": rest, "weight_decay": 0.0},
    ]
