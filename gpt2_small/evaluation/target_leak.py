"""Detect a held-out loss below the text's entropy, which is possible only by seeing targets."""

# A held-out loss is a mean over some thousand tokens and varies by some percent; without a causal
# mask it reaches a tenth of the entropy.
MARGIN = 0.1


def sees_targets(loss: float, floor: float) -> bool:
    """Whether a loss, in nats per token, is significantly below the entropy."""
    return loss < (1 - MARGIN) * floor


def warning(loss: float, floor: float, check_command: str) -> str:
    """Explain a loss below the entropy, with the command that finds the mistake.

    check_command: the command that checks the trained solution.
    """
    return (
        f"The loss, {loss:.3f}, is below the entropy of the text, {floor:.3f}, which no model can "
        "reach without seeing the token that it predicts: the causal mask is missing or wrong, or "
        f"targets are not shifted. Find the mistake with: {check_command}"
    )
