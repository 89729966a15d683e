"""Test that every claim rejects a fault, and accepts the reference for all seeds."""

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from checking import check_text, reference_with, wrong_text
from default_share import few
from torch import nn

from gpt2_small.checker.claims import Claim, claims_of
from gpt2_small.checker.claims.functions import training_step
from gpt2_small.checker.claims.judging import runner
from gpt2_small.checker.claims.judging.tolerances import FLOAT32
from gpt2_small.checker.claims.modules import block, transformer
from gpt2_small.checker.claims.modules.every_module import gradients
from gpt2_small.checker.claims.observing.bias_loss import final_bias
from gpt2_small.checker.claims.observing.subject import Subject
from gpt2_small.checker.mistakes import edited_reference, mistake
from gpt2_small.checker.parts import PARTS

pytestmark = pytest.mark.usefixtures("one_thread")

MODULES = [part for part in PARTS if part[0].isupper()]
# This claim starts processes, so it is tested only in the sandbox.
FORKS = "two processes make the same step as one"

# Known mistakes; each claim that some mistake of the catalogue breaks is broken by one of these.
MISTAKES = {
    "LayerNorm": (
        "layer-norm-gain-frozen",
        "layer-norm-in-place",
        "layer-norm-tap-normalized-after-gain",
    ),
    "Embedding": ("embedding-transposed", "embedding-init-standard-normal", "embedding-frozen"),
    "PositionalEmbedding": (
        "positional-embedding-buffer",
        "positional-embedding-beyond-the-last",
        "positional-embedding-on-cpu",
        "positional-embedding-frozen",
    ),
    "MultiHeadAttention": (
        "attention-mask-diagonal",
        "attention-w-o-init-like-the-rest",
        "attention-mask-saved",
        "attention-mask-on-cpu",
        "attention-returns-pattern-too",
        "attention-other-names",
        "attention-tap-pattern-after-dropout",
    ),
    "MLP": ("mlp-fixed-width", "mlp-dropout-missing", "mlp-w-out-init-like-w-in"),
    "TransformerBlock": ("block-one-norm", "block-in-place"),
    "Unembedding": ("unembedding-transposed", "unembedding-init-standard-normal"),
    "Transformer": (
        "transformer-list-of-blocks",
        "transformer-tied-with-bias",
        "transformer-last-position",
        "transformer-returns-hidden-too",
        "transformer-crops",
        "transformer-config-missing",
        "transformer-dropout-of-tokens-alone",
    ),
    "next_token_loss": ("loss-no-shift", "loss-not-reduced", "loss-in-place"),
    "sample": (
        "sample-softmax-over-batch",
        "sample-zero-is-one",
        "sample-generator-ignored",
        "sample-keeps-axis",
        "sample-in-place",
    ),
    "generate": (
        "generate-new-tokens-only",
        "generate-generator-forgotten",
        "generate-keeps-gradients",
        "generate-not-cropped",
        "generate-changes-prompt",
        "generate-mode-kept-after-error",
    ),
    "learning_rate": ("schedule-steps-from-one",),
    "parameter_groups": ("parameter-groups-matrices-twice",),
    "train_step": (
        "train-step-updates-each-batch",
        "train-step-empties-its-list",
        "train-step-tells-tensors",
        "train-step-exchanged-every-time",
        "train-step-in-evaluation",
    ),
    "train": ("train-step-twice", "train-prints", "train-skips-first"),
}

Fault = Callable[[ModuleType, str], None]


def gives_nothing(module: ModuleType, part: str) -> None:
    """Make the part return None."""
    replace(module, part, lambda right: lambda *given, **options: None)


def changes_its_input(module: ModuleType, part: str) -> None:
    def changing(right):
        def forward(self, given):
            output = right(self, given).clone()
            given.zero_()
            return output

        return forward

    replace(module, part, changing)


def computes_on_the_cpu(module: ModuleType, part: str) -> None:
    replace(
        module, part, lambda right: lambda self, given: right(self, given) + torch.zeros(1).cpu()
    )


def saves_a_buffer(module: ModuleType, part: str) -> None:
    class Saving(getattr(module, part)):
        def __init__(self, config):
            super().__init__(config)
            self.register_buffer("mask", torch.ones(1))

    setattr(module, part, Saving)


def refuses_nothing(module: ModuleType, part: str) -> None:
    """Return None where the part raises ValueError."""
    right = getattr(module, part)

    def lenient(*given, **options):
        try:
            return right(*given, **options)
        except ValueError:
            return None

    setattr(module, part, lenient)


def replace(module: ModuleType, part: str, edit: Callable) -> None:
    """Replace a function, or the forward of a subclass of a part."""
    right = getattr(module, part)
    if isinstance(right, type) and issubclass(right, nn.Module):
        setattr(module, part, type(part, (right,), {"forward": edit(right.forward)}))
    else:
        setattr(module, part, edit(right))


# Faults that are not in the catalogue, with the parts that they are tried on.
FAULTS: dict[Fault, list[str]] = {
    gives_nothing: list(PARTS),
    changes_its_input: MODULES,
    computes_on_the_cpu: MODULES,
    saves_a_buffer: MODULES,
    refuses_nothing: [part for part in PARTS if part not in MODULES],
}


def with_fault(fault: Fault, part: str) -> ModuleType:
    module = ModuleType("faulty")
    module.__dict__.update(vars(edited_reference.reference()))
    fault(module, part)
    return module


def rejected(claims: list[Claim], module: ModuleType) -> set[str]:
    """Return the claims that reject a module, or remark on it if they are no requirement."""
    results = [runner.judge_one(claim, module, seed=0).result for claim in claims]
    return {result.check for result in results if result.message}


@pytest.mark.parametrize("part", PARTS)
def test_every_claim_rejects_a_known_mistake_or_a_planted_fault(part: str) -> None:
    left = [c for c in claims_of(part) if not c.together and c.name != FORKS]
    wrong = [edited_reference.build(mistake.find(name)) for name in MISTAKES[part]]
    wrong += [with_fault(fault, part) for fault, parts in FAULTS.items() if part in parts]
    for module in wrong:
        found = rejected(left, module)
        left = [claim for claim in left if claim.name not in found]
    without_taps = part in ("Embedding", "PositionalEmbedding", "Unembedding")
    assert [c.name for c in left if not (c.group == "taps" and without_taps)] == []


# A fault in one part, rejected by another part's claim about several parts.
TOGETHER = {
    "all eight modules of the file": ("Transformer", "layer-norm-gain-unused"),
    "all parts of the file together learn": ("train", "parameter-groups-blocks-only"),
    "all parts together cannot predict": ("train", "attention-mask-missing"),
}


@pytest.mark.parametrize("beginning", TOGETHER)
def test_a_claim_about_several_parts_rejects_a_mistake_in_any_of_them(beginning: str) -> None:
    part, name = TOGETHER[beginning]
    (claim,) = [claim for claim in claims_of(part) if claim.name.startswith(beginning)]
    module = ModuleType("faulty")
    module.__file__ = "<faulty>"
    exec(wrong_text(mistake.find(name)), module.__dict__)
    assert runner.judge_one(claim, module, seed=0).result.status == "failed"


def test_a_train_step_without_gradient_exchange_between_processes_is_rejected(tmp_path) -> None:
    text = wrong_text(mistake.find("train-step-never-exchanged"))
    verdict = check_text(tmp_path, text, "train_step", naming=False)
    failed = [result for result in verdict.results if result.status == "failed"]
    assert [result.check for result in failed] == [FORKS]
    assert "the gradients were not exchanged" in failed[0].message


def test_the_loss_that_is_given_to_a_step_leaves_a_gradient_in_every_parameter() -> None:
    model = training_step.fresh_model(runner.reference(), seed=0)
    final_bias(model, torch.zeros(1)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


# Checking the reference's part takes half a second to a second for these.
SLOWLY_CHECKED = ("Transformer", "generate", "train")


@pytest.mark.parametrize("part", few((p for p in PARTS if p not in SLOWLY_CHECKED), PARTS))
def test_the_reference_holds_with_any_seed(part: str) -> None:
    for claim in claims_of(part):
        if claim.name != FORKS:
            result = runner.judge_one(claim, edited_reference.reference(), seed=2).result
            assert (result.status, result.message) == ("passed", "")


@pytest.mark.parametrize("power", [0.9, 1.1])
def test_probabilities_to_another_power_are_rejected(tmp_path, power: float) -> None:
    draw = "torch.multinomial(probabilities,"
    text = reference_with((draw, draw.replace("probabilities", f"probabilities ** {power}")))
    verdict = check_text(tmp_path, text, "sample", naming=False)
    failed = {result.check for result in verdict.results if result.status == "failed"}
    assert "it samples from the softmax of a large vocabulary" in failed


def test_a_fault_in_another_dtype_than_float32_gets_a_remark_and_fails_no_part(tmp_path) -> None:
    end = "return normalized * self.w + self.b"
    text = reference_with((end, "return (normalized * self.w + self.b).float()"))
    verdict = check_text(tmp_path, text, "LayerNorm", naming=False)
    assert verdict.exit_code == 0
    remarks = [result.check for result in verdict.results if result.message]
    assert remarks
    assert all("float64" in check or "bfloat16" in check for check in remarks)


@pytest.mark.parametrize("name", ["half-a-window", "last-token-only", "prompt-only"])
def test_a_wrong_window_of_generate_is_rejected_with_every_seed(name: str) -> None:
    wrong = edited_reference.build(mistake.find(f"generate-{name}"))
    (claim,) = (each for each in claims_of("generate") if "longer than n_ctx" in each.name)
    for seed in range(30):
        right, seen = claim.observe(runner.reference(), seed), claim.observe(wrong, seed)
        assert any(not torch.equal(right[key], seen[key]) for key in right), seed  # type: ignore[arg-type]


def test_claim_names_are_unique_within_a_part_and_the_gate_comes_first() -> None:
    for part in PARTS:
        names = [claim.name for claim in claims_of(part)]
        assert len(set(names)) == len(names)
        assert [claim.gate for claim in claims_of(part)] == [True] + [False] * (len(names) - 1)


IGNORING = {
    "Embedding": ("self.W_E[tokens]", "F.embedding(tokens, self.W_E, padding_idx={id})"),
    "next_token_loss": (
        'rearrange(targets, "batch seq -> (batch seq)"),\n    )',
        'rearrange(targets, "batch seq -> (batch seq)"), ignore_index={id}\n    )',
    ),
}


@pytest.mark.parametrize("token", [1, 3, 11, 17, 26])
@pytest.mark.parametrize("part", IGNORING)
def test_a_token_that_is_ignored_is_seen_whatever_its_id(tmp_path, part: str, token: int) -> None:
    old, new = IGNORING[part]
    text = reference_with((old, new.format(id=token)))
    assert check_text(tmp_path, text, part, naming=False).state_of(part) == "failed"


@pytest.mark.parametrize("subject", [transformer.TIED, transformer.UNTIED, block.SUBJECT])
def test_rounding_of_correct_gradients_stays_far_below_the_tolerance(subject: Subject) -> None:
    reference = edited_reference.reference()
    for seed in range(16):
        rounded = gradients(subject, reference, seed, dtype=torch.float32)
        for name, right in gradients(subject, reference, seed, dtype=torch.float64).items():
            assert isinstance(right, torch.Tensor)
            allowed = FLOAT32 * max(1.0, right.abs().max().item())
            assert (rounded[name] - right).abs().max() < 0.2 * allowed, (name, seed)
