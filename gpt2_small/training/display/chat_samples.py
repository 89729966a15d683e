"""Sample answers from a model in training, judge them, and measure its loss by turn."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2_small.data.conversations.rendering import end_id, role_id
from gpt2_small.generation import sample_many
from gpt2_small.stories.dialogues.dialogue_judge import Answer, DialogueJudgement, judge_dialogues
from gpt2_small.stories.dialogues.dialogue_tokenizer import DIALOGUE_WORDS
from gpt2_small.training.chat_data import ChatData
from gpt2_small.training.loop import EVALUATION_ROWS, Training
from gpt2_small.training.step.masked_objective import tokens_and_mask

ANSWER_TOKENS = 200
# More words than any story of the grammar has, so that a longer answer counts as unfinished.
LONGEST_STORY = 80


def answers(
    training: Training, prompts: Sequence[Sequence[int]], new_tokens: int, *, seed: int
) -> list[list[int]]:
    """Sample the model's answers, at temperature 1, to prompts that end with its role token.

    The last id of a finished answer is an end or a role token.
    """
    tokenizer = training.data.tokenizer
    assert tokenizer.roles is not None
    return sample_many(
        training.solution,
        training.model,
        prompts,
        new_tokens,
        seed=seed,
        stop_tokens={*tokenizer.ends, *tokenizer.roles},
        vocab_size=tokenizer.vocab_size,
    )


def chat_excerpt(training: Training, *, seed: int) -> str:
    """The first message of a held-out conversation, and the model's answer."""
    data = training.data
    assert isinstance(data, ChatData)
    ids, _ = data.chats.val.conversation(seed % len(data.chats.val))
    assistant, end = role_id(data.tokenizer, "assistant"), end_id(data.tokenizer)
    prompt = ids[: 1 + int(np.flatnonzero(ids == assistant)[0])].tolist()
    (drawn,) = answers(training, [prompt], ANSWER_TOKENS, seed=seed)
    message = data.tokenizer.decode([id for id in prompt[1:-1] if id != end])
    answer = data.tokenizer.decode(drawn[:-1] if drawn[-1:] == [end] else drawn)
    return f"> {message.strip()}\n{answer.strip()}"


def judged_dialogues(training: Training, count: int) -> DialogueJudgement:
    """Judge sampled answers in dialogues: how many end, fit the question, and are true."""
    ids_of = {word: id for id, word in enumerate(DIALOGUE_WORDS)}
    end, seed = end_id(training.data.tokenizer), training.recipe.seed

    def answer_all(dialogues: list[list[str]]) -> list[Answer]:
        nonlocal seed
        seed += 1
        prompts = [[ids_of[word] for word in words] for words in dialogues]
        found = []
        for drawn in answers(training, prompts, LONGEST_STORY, seed=seed):
            ended = drawn[-1:] == [end]
            words = tuple(DIALOGUE_WORDS[id] for id in (drawn[:-1] if ended else drawn))
            found.append(Answer(words, ended))
        return found

    return judge_dialogues(answer_all, count, training.recipe.seed)


@torch.no_grad()
def loss_by_turn(training: Training) -> dict[int, tuple[float, int]]:
    """The held-out loss, in nats per target, and the targets of each of the assistant's turns.

    Turns count from 1. The main process alone computes it.
    """
    data, device = training.data, training.processes.device
    assert isinstance(data, ChatData)
    assistant = role_id(data.tokenizer, "assistant")
    total: dict[int, float] = defaultdict(float)
    targets: dict[int, int] = defaultdict(int)
    was_training = training.model.training
    training.model.eval()
    for batch in data.held_out(batch_size=EVALUATION_ROWS, rank=0, world_size=1):
        tokens, is_target = tokens_and_mask(batch.to(device))
        logits: Tensor = training.model(tokens[:, :-1])
        losses = F.cross_entropy(logits.mT.float(), tokens[:, 1:], reduction="none")
        turns = (tokens == assistant).cumsum(dim=1)[:, 1:]
        for turn in turns[is_target[:, 1:]].unique().tolist():
            chosen = is_target[:, 1:] & (turns == turn)
            total[turn] += float(losses[chosen].sum())
            targets[turn] += int(chosen.sum())
    training.model.train(was_training)
    return {turn: (total[turn] / targets[turn], targets[turn]) for turn in sorted(total)}
