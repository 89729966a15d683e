"""Test Unembedding: the logits of every position."""

from claims_as_tests import claims_about, torchs_operation_about

test_it_keeps_the_claim = claims_about("Unembedding")
test_in_every_small_shape_it_is_torchs_own_operation = torchs_operation_about("Unembedding")
