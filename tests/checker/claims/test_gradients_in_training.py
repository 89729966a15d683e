"""Test that gradients are asked for in training mode too."""

from pathlib import Path

from checking import check_text, reference_with

DETACHED = (
    "residual = self.embed_dropout(embed + pos_embed)",
    "pos_embed = pos_embed.detach() if self.training else pos_embed\n"
    "        residual = self.embed_dropout(embed + pos_embed)",
)


def test_positions_that_are_detached_in_training_alone_are_rejected(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, reference_with(DETACHED), "Transformer")
    failed = [result for result in verdict.of("Transformer") if result.status == "failed"]
    assert "the gradient of pos_embed.W_pos is None" in failed[0].message


def test_a_top_p_that_is_not_given_is_called_none(tmp_path: Path) -> None:
    forgotten = (
        "                top_p=top_p,\n",
        "                top_p=None if top_k else top_p,\n",
    )
    report = check_text(tmp_path, reference_with(forgotten), "generate").reports["generate"]
    assert report.mistakes == ("generate-top-p-or-top-k",)
    assert "top_p of sample is None instead of 0.9" in " ".join(report.location)
