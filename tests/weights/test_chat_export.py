"""Test an exported chat: transformers and TRL render and mask what `prepare --chat` does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from exported_chats import SOLUTION, awkward, conversation, exported, messages, rendered

from gpt2_small.data.conversations.conversation import (
    Audit,
    RawConversation,
    RawTurn,
    conform,
)
from gpt2_small.generation import Chat, SamplingOptions, open_model
from gpt2_small.stories.dialogues.dialogue_tokenizer import dialogue_tokenizer
from gpt2_small.tokenizers.registry import make_tokenizer

transformers = pytest.importorskip("transformers")


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


def test_the_template_merges_a_system_message_into_the_users_turn(tmp_path: Path) -> None:
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


def test_transformers_reads_a_typed_role_as_the_role_and_we_do_not(tmp_path: Path) -> None:
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


def test_generation_ends_at_the_end_of_text_and_at_both_roles(tmp_path: Path) -> None:
    tokenizer = make_tokenizer("byte-chat")
    folder = exported(tokenizer, tmp_path)
    config = transformers.GenerationConfig.from_pretrained(folder)
    assert tokenizer.roles is not None
    assert config.eos_token_id == [tokenizer.end_of_text, *tokenizer.roles]


def test_an_exported_chat_model_is_opened_with_its_roles(tmp_path: Path) -> None:
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
