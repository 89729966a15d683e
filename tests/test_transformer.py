"""Test Transformer: the assembled parts, tied and untied."""

import torch
from claims_as_tests import claims_about, torchs_operation_about

GPT2_SMALL_PARAMETERS = 124_439_808

test_it_keeps_the_claim = claims_about("Transformer")
test_in_every_small_shape_it_is_torchs_own_operation = torchs_operation_about("Transformer")
test_untied_too_it_is_torchs_own_operation = torchs_operation_about(
    "Transformer", tied_embeddings=False
)


def test_gpt2_small_has_124_439_808_parameters(solution):
    with torch.device("meta"):
        model = solution.Transformer(solution.TransformerConfig())
    assert sum(parameter.numel() for parameter in model.parameters()) == GPT2_SMALL_PARAMETERS
