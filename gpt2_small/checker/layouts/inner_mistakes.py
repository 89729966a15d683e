"""Name an inner part's mistake by the outer part's observations."""

from collections.abc import Sequence

from gpt2_small.checker.claims.judging.runner import RAISED, JudgedClaim, observed, reference
from gpt2_small.checker.claims.observing.observation import alike
from gpt2_small.checker.exercise_set import GPT2
from gpt2_small.checker.mistakes.matching.wrong_references import without_taps
from gpt2_small.checker.mistakes.mistake import Mistake, catalogue, distinct
from gpt2_small.checker.variants import variant_set
from gpt2_small.errors import UserError


def explained_inside(
    inner: str, ids: Sequence[str], judged: Sequence[JudgedClaim], seed: int
) -> Mistake | None:
    """The mistake in an inner part that explains every failed claim about the outer part.

    ids: the mistakes named so far.
    """
    claims = {claim.name: claim for claim in GPT2.claims(judged[0].result.component)}
    failed = {
        one.result.check: without_taps(one.seen)
        for one in judged
        if one.result.status == "failed" and one.seen
    }
    if all(RAISED in seen for seen in failed.values()):
        return None  # different mistakes end with the same error
    for mistake in distinct(catalogue(inner)):
        try:
            wrong = reference(variant_set((*ids, mistake.id)))
        except UserError:
            continue
        if all(
            alike(seen, without_taps(observed(claims[name], wrong, seed)))
            for name, seen in failed.items()
        ):
            return mistake
    return None
