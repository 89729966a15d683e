"""Guide learners through the chat lesson: steps and hints for each part."""

from gpt2_small.checker.learner.hints import Guide

GUIDES = {
    "render": Guide(
        steps=(
            "Refuse a role that is neither user nor assistant with a ValueError that says it.",
            "A turn is its role's id, the ids of its text, and the end.",
            "Targets are the ids of the assistant's texts and the ends after them.",
        ),
        hints=(
            "What should the model learn to say, and what does it only read?",
            "The assistant's role is given when the model is asked; the end after an answer is "
            "what it must learn to say.",
            "is_target of a turn: [False, *[role == 'assistant'] * (len(text_ids) + 1)]",
        ),
    ),
    "batch_of": Guide(
        steps=(
            "Refuse an empty list with a ValueError.",
            "Pad every row's ids with 0, and its mask with False, on the right to the longest.",
            "Stack both.",
        ),
        hints=(
            "On which side may something stand that a causal model must not notice?",
            "torch.nn.functional.pad(row, (left, right)) pads the last axis.",
            "F.pad(ids, (0, longest - len(ids)))",
        ),
    ),
    "masked_loss": Guide(
        steps=(
            "The logits at p are for token p + 1: leave the last logits and the first token out.",
            "Keep the places whose token is a target; refuse with a ValueError when there is none.",
            "Give the mean cross-entropy of those.",
        ),
        hints=(
            "Which of the two is moved by one, and what happens to the mask then?",
            "The mask says which tokens are targets, so it is cut as the tokens are: [:, 1:].",
            "F.cross_entropy(logits[:, :-1][is_target[:, 1:]], tokens[:, 1:][is_target[:, 1:]])",
        ),
    ),
    "grow": Guide(
        steps=(
            "Refuse a negative number with a ValueError that says it.",
            "Draw new rows with the mean and the standard deviation of the old ones in every "
            "dimension.",
            "Put them after the old rows.",
        ),
        hints=(
            "How large is an embedding, and what would a row of zeros or a copy learn?",
            "mean(dim=0) and std(dim=0) have one number a dimension; noise is drawn for each row "
            "and dimension.",
            "torch.cat([W_E, W_E.mean(0) + W_E.std(0) * noise])",
        ),
    ),
    "reply": Guide(
        steps=(
            "Refuse an empty prompt with a ValueError; turn dropout off.",
            "Take the most likely token after the prompt and what was said so far.",
            "End before a stop, or when max_new_tokens are said.",
        ),
        hints=(
            "Whose logits decide the next token, and what becomes of a stop?",
            "The model reads the prompt and all that was said, as a batch of one row.",
            "model(torch.cat([prompt, torch.tensor(said)])[None])[0, -1].argmax()",
        ),
    ),
}
