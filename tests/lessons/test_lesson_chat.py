"""Test the chat lesson against transformers, and its claims over seeds."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from assert_close import assert_close
from exported_chats import SOLUTION, awkward, exported, messages
from lesson_values import Values, values_fixture
from measure_lessons import experiment

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.exercise_sets import find_lesson
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import make_tokenizer

transformers = pytest.importorskip("transformers")
values = values_fixture("08_chat")


class Adapted:
    """A tokenizer of the kit under the names that the lesson uses."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.roles is not None
        assert tokenizer.end_of_text is not None
        self.user, self.assistant = tokenizer.roles
        self.end = tokenizer.end_of_text
        self.encode = tokenizer.encode_ordinary


@pytest.fixture(scope="module")
def lesson() -> ModuleType:
    return reference(find_lesson("chat"))


@pytest.fixture(scope="module")
def found() -> ModuleType:
    return experiment("08_chat")


def test_render_is_transformers_chat_template_with_its_mask(lesson, tmp_path: Path) -> None:
    tokenizer = make_tokenizer("byte-chat")
    theirs = transformers.AutoTokenizer.from_pretrained(exported(tokenizer, tmp_path))
    for conversation in awkward("byte-chat"):
        turns = [(turn.role, turn.text) for turn in conversation.turns]
        ids, is_target = lesson.render(turns, Adapted(tokenizer))
        given = theirs.apply_chat_template(
            messages(conversation), return_assistant_tokens_mask=True, return_dict=True
        )
        assert ids.tolist() == given["input_ids"]
        assert is_target.int().tolist() == given["assistant_masks"]


def test_the_masked_loss_is_transformers_loss_with_ignored_labels(lesson) -> None:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_embd=16, n_layer=1, n_head=2, n_positions=12, vocab_size=31, bos_token_id=None,
        eos_token_id=None,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config).eval()
    tokens = torch.randint(0, 31, (3, 9))
    is_target = torch.rand(3, 9) > 0.6
    with torch.no_grad():
        theirs = model(tokens, labels=torch.where(is_target, tokens, -100))
    assert_close(lesson.masked_loss(theirs.logits, tokens, is_target), theirs.loss, "the loss")


def test_grow_keeps_the_old_rows_and_mean_of_transformers_resize(lesson) -> None:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_embd=16, n_layer=1, n_head=2, n_positions=12, vocab_size=300, bos_token_id=None,
        eos_token_id=None,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config)
    old = model.get_input_embeddings().weight.detach().clone()
    grown = lesson.grow(old, 4000, generator=torch.Generator().manual_seed(1))
    resized: Any = model.resize_token_embeddings(4300, mean_resizing=True).weight.detach()
    assert torch.equal(grown[:300], resized[:300])
    error = old.std(dim=0) / 4000**0.5
    assert (grown[300:].mean(dim=0) - resized[300:].mean(dim=0)).abs().le(5 * error).all()


def test_a_reply_is_transformers_greedy_continuation(lesson, tmp_path: Path) -> None:
    tokenizer = make_tokenizer("byte-chat")
    folder = exported(tokenizer, tmp_path)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()
    from gpt2_small import load_pretrained

    ours = load_pretrained(str(folder))
    names = Adapted(tokenizer)
    stops = (names.user, names.assistant, names.end)
    for text in ("hello", "a b c", "why?"):
        prompt, _ = lesson.render([("user", text)], names)
        prompt = torch.cat([prompt, torch.tensor([names.assistant])])
        with torch.no_grad():
            generated = theirs.generate(
                prompt[None], max_new_tokens=20, do_sample=False, eos_token_id=list(stops),
                pad_token_id=names.end, attention_mask=torch.ones_like(prompt[None]),
            )[0, len(prompt) :].tolist()  # fmt: skip
        generated = generated[:-1] if generated[-1] in stops else generated
        assert lesson.reply(ours, prompt, stops, 20) == generated


def test_the_dialogues_are_rendered_as_the_kit_renders_them(lesson, found) -> None:
    from random import Random

    from dialogue_oracles import targets_of

    from gpt2_small.stories.dialogues.dialogue_corpus import generate_dialogue

    words = generate_dialogue(Random("an example"))
    ids, is_target = lesson.render(found.dialogues(1, "an example")[0], found.words)
    assert found.words.decode(ids.tolist()).split() == words
    assert is_target.tolist() == targets_of(words)


def test_a_learners_model_answers_in_the_lesson(found) -> None:
    model = found.grown(found.base_model(0, steps=1), 0)
    losses = found.fine_tuned(model, 0, steps=2)
    assert len(losses) == 2
    assert found.answer_loss(model, count=2) > found.FLOOR
    assert SOLUTION.Transformer.__name__ == type(model).__name__


def test_answers_are_learned_and_stay_above_their_floor(found, values: Values) -> None:
    assert min(values["before, rows like the others"]) > 1.8
    assert max(values["after, rows like the others"]) < 0.75
    assert min(values["after, rows like the others"]) > found.FLOOR


def test_pretraining_on_stories_lowers_the_loss_by_more_than_seeds_differ(
    found, values: Values
) -> None:
    interval = found.small_models.interval
    with_stories = interval(values["after, rows like the others"])
    assert with_stories.is_below(interval(values["after, no stories"]))


@pytest.mark.parametrize("other", ["after, rows small", "after, all tokens"])
def test_three_seeds_show_no_effect_of_the_new_rows_or_the_mask(
    found, values: Values, other: str
) -> None:
    interval = found.small_models.interval
    ours, theirs = interval(values["after, rows like the others"]), interval(values[other])
    assert not ours.is_below(theirs)
    assert not theirs.is_below(ours)


def test_the_format_is_learned_before_the_content(values: Values) -> None:
    assert min(values["stories that end"]) == 1.0
    assert max(values["as asked"]) < 0.2
