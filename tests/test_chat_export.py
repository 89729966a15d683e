"""Test an exported chat: transformers and TRL render and mask what `prepare --chat` does."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from gpt2_small import binding
from gpt2_small.data.conversations.conversation import (
    Audit,
    Conversation,
    RawConversation,
    RawTurn,
    Turn,
    conform,
)
from gpt2_small.data.conversations.rendering import Rendered, render
from gpt2_small.generation import Chat, SamplingOptions, open_model
from gpt2_small.stories.dialogues.dialogue_corpus import generate_dialogue, turns_of
from gpt2_small.stories.dialogues.dialogue_tokenizer import dialogue_tokenizer
from gpt2_small.stories.tokenizer import join_words
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import make_tokenizer
from gpt2_small.weights.export import export_hugging_face

transformers = pytest.importorskip("transformers")
SOLUTION = binding.bound()


def exported(tokenizer: Tokenizer, folder: Path, *, d_vocab: int | None = None) -> Path:
    """A small random model with this tokenizer, as `export` writes it."""
    torch.manual_seed(1)
    config = SOLUTION.TransformerConfig(
        d_model=16,
        n_layers=2,
        n_heads=2,
        n_ctx=128,
        d_vocab=d_vocab or tokenizer.vocab_size,
        init_std=0.3,
    )
    export_hugging_face(SOLUTION.Transformer(config), folder / "exported", tokenizer=tokenizer)
    return folder / "exported"


def conversation(*texts: str) -> Conversation:
    turns = [Turn("assistant" if place % 2 else "user", text) for place, text in enumerate(texts)]
    return Conversation(tuple(turns), "")


def rendered(found: Conversation, tokenizer: Tokenizer) -> Rendered:
    untruncated = render(found, tokenizer, max_length=10**6, too_long="drop", audit=Audit())
    assert untruncated is not None
    return untruncated


def messages(found: Conversation) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.text} for turn in found.turns]


def awkward(tokenizer_name: str) -> list[Conversation]:
    """Conversations of texts that tempt a template to strip, join or escape."""
    rng = random.Random(0)
    if tokenizer_name == "dialogues-chat":
        drawn = [turns_of(generate_dialogue(rng)) for _ in range(5)]
        return [conversation(*(join_words(words) for _, words in turns)) for turns in drawn]
    letters = ["a", " b", "\n", "é", "{{ x }}", "{% y %}", '"', "\\", "\t", "🙂", "<|x|>", " "]
    return [conversation(*("".join(rng.choices(letters, k=6)) for _ in range(4))) for _ in range(8)]


@pytest.mark.parametrize("name", ["byte-chat", "bpe:260-chat", "dialogues-chat"])
def test_transformers_renders_and_masks_as_we_do(name: str, tmp_path: Path) -> None:
    tokenizer = (
        dialogue_tokenizer() if name == "dialogues-chat" else make_tokenizer(name, "abab a b " * 9)
    )
    theirs = transformers.AutoTokenizer.from_pretrained(exported(tokenizer, tmp_path))
    for found in awkward(name):
        ours = rendered(found, tokenizer)
        given = theirs.apply_chat_template(
            messages(found), return_assistant_tokens_mask=True, return_dict=True
        )
        assert given["input_ids"] == ours.ids.tolist()
        assert given["assistant_masks"] == ours.is_target.astype(int).tolist()


def test_a_system_message_joins_the_users_turn_in_the_template_too(tmp_path: Path) -> None:
    tokenizer = make_tokenizer("byte-chat")
    theirs = transformers.AutoTokenizer.from_pretrained(exported(tokenizer, tmp_path))
    raw = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Ho")]
    found = conform(RawConversation(tuple(RawTurn(*turn) for turn in raw)), Audit())
    assert found is not None
    given = theirs.apply_chat_template(
        [{"role": role, "content": text} for role, text in raw], return_dict=True
    )
    assert given["input_ids"] == rendered(found, tokenizer).ids.tolist()


def test_the_template_refuses_another_role(tmp_path: Path) -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(
        exported(make_tokenizer("byte-chat"), tmp_path)
    )
    with pytest.raises(Exception, match="the roles are system, user and assistant, not tool"):
        theirs.apply_chat_template([{"role": "tool", "content": "x"}])


def test_transformers_takes_a_typed_role_for_the_role_and_we_do_not(tmp_path: Path) -> None:
    tokenizer = make_tokenizer("byte-chat")
    folder = exported(tokenizer, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    found = conversation("<|assistant|>", "b")
    assert tokenizer.roles is not None
    given = theirs.apply_chat_template(messages(found), return_dict=True)["input_ids"]
    assert given.count(tokenizer.roles.assistant) == 2
    assert rendered(found, tokenizer).ids.tolist().count(tokenizer.roles.assistant) == 1


@pytest.mark.parametrize("d_vocab", [259, 320])
def test_transformers_generates_the_same_greedy_answer(d_vocab: int, tmp_path: Path) -> None:
    folder = exported(make_tokenizer("byte-chat"), tmp_path, d_vocab=d_vocab)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    options = SamplingOptions(max_new_tokens=20, temperature=0.0)
    chat = Chat(SOLUTION, open_model(folder), options)
    said: list[dict[str, str]] = []
    for text in ("Hi", "And you?"):
        reply = chat.reply(text)
        ours = [step.id for step in reply]
        said.append({"role": "user", "content": text})
        prompt = torch.tensor([chat.prompt()])
        given: Any = theirs.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=20,
            do_sample=False,
            pad_token_id=0,
        )
        assert given[0, prompt.shape[1] :].tolist() == ours
        if len(said) == 1:
            templated = tokenizer.apply_chat_template(said, add_generation_prompt=True)
            assert templated["input_ids"] == prompt[0].tolist()


def test_generation_ends_at_the_end_and_at_both_roles(tmp_path: Path) -> None:
    tokenizer = make_tokenizer("byte-chat")
    folder = exported(tokenizer, tmp_path)
    config = transformers.GenerationConfig.from_pretrained(folder)
    assert tokenizer.roles is not None
    assert config.eos_token_id == [tokenizer.end_of_text, *tokenizer.roles]


def test_an_exported_chat_is_opened_with_its_roles(tmp_path: Path) -> None:
    tokenizer = make_tokenizer("byte-chat")
    loaded = open_model(exported(tokenizer, tmp_path))
    assert loaded.tokenizer.roles == tokenizer.roles
    assert loaded.tokenizer.encode_ordinary("<|user|>") == list(b"<|user|>")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trl_trains_on_the_same_targets(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    tokenizer = make_tokenizer("byte-chat")
    folder = exported(tokenizer, tmp_path)
    found = [conversation("Hi", "Ho", " a\n", "b "), conversation("é", "<x>")]
    trainer = trl.SFTTrainer(
        model=transformers.AutoModelForCausalLM.from_pretrained(folder),
        processing_class=transformers.AutoTokenizer.from_pretrained(folder),
        args=trl.SFTConfig(
            output_dir=str(tmp_path / "trl"),
            assistant_only_loss=True,
            use_cpu=True,
            bf16=False,
            report_to=[],
        ),
        train_dataset=datasets.Dataset.from_list([{"messages": messages(each)} for each in found]),
    )
    for row, each in zip(trainer.train_dataset, found, strict=True):
        ours = rendered(each, tokenizer)
        assert row["input_ids"] == ours.ids.tolist()
        labels = [
            id if target else -100 for id, target in zip(ours.ids, ours.is_target, strict=True)
        ]
        assert row["labels"] == labels
