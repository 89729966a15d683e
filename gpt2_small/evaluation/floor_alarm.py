"""Detect a held-out loss below the text's entropy, which a model reaches only by seeing targets."""

# A held-out loss is a mean over some thousand tokens, and by chance some percent off; a model
# without its mask is at a tenth of the entropy.
MARGIN = 0.1


def sees_targets(loss: float, floor: float) -> bool:
    """Whether a loss is below the entropy by more than chance, in nats per token."""
    return loss < (1 - MARGIN) * floor


def warning(loss: float, floor: float, check_command: str) -> str:
    """Explain a loss below the entropy, with the command that finds the mistake.

    check_command: how to check the solution that was trained.
    """
    return (
        f"The loss, {loss:.3f}, is below the entropy of the text, {floor:.3f}, which no model can "
        "reach without seeing the token that it predicts: the causal mask is missing or wrong, or "
        f"targets are not shifted. Find the mistake with: {check_command}"
    )
