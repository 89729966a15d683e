"""Run tasks of lm-evaluation-harness on a model (extra `eval`).

`HarnessModel` computes the same log-likelihoods as the harness's `hf` model with
`logits_cache=False`, except that a special token's name in a text is encoded as plain characters.
The endings of one context are computed together.
"""

import importlib.metadata
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lm_eval import utils
from lm_eval.api.model import TemplateLM

from gpt2_small import binding
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.evaluation.continuation_scores import ContinuationScorer
from gpt2_small.generation import LoadedModel, SamplingOptions, continuations

# The harness's default for tasks without a length.
MOST_NEW_TOKENS = 256
LENGTH_KEYS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")


class HarnessModel(TemplateLM):
    """Adapts a model and its tokenizer to the harness's model interface.

    The prefix token, before a text without context, is the tokenizer's end of text, or else a line
    break.

    is_packed: as in `ContinuationScorer`.
    progress: called with the number of continuations scored so far.

    Raises UserError for a tokenizer without prefix token, for a continuation of more than n_ctx
    tokens, and for a task that generates more tokens than fit.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        is_packed: bool | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        self._loaded, self._ids, self._progress = loaded, loaded.tokenizer, progress
        self._scorer = ContinuationScorer(loaded.model, is_packed=is_packed)
        self.max_length: int = loaded.model.config.n_ctx

    @property
    def eot_token_id(self) -> int:
        """The prefix token."""
        if self._ids.end_of_text is not None:
            return self._ids.end_of_text
        try:
            return self._ids.encode_ordinary("\n")[0]
        except UserError:
            raise UserError(
                f"tokenizer {self._ids.name!r} has neither an end of text nor a line break as a "
                "prefix of a text without context; choose other tasks"
            ) from None

    @property
    def tokenizer_name(self) -> str:
        """The tokenizer's name, for the harness's records."""
        return self._ids.name

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        """Encode a text; with add_special_tokens=False without the ids around it."""
        if add_special_tokens is False:
            return self._ids.encode_ordinary(string)
        return self._ids.encode(string)

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], **options: Any
    ) -> list[tuple[float, bool]]:
        pairs = [(context, ending) for _, context, ending in requests]
        for _, continuation in pairs:
            if not 0 < len(continuation) <= self.max_length:
                raise UserError(
                    f"a continuation of {len(continuation)} tokens cannot be scored with n_ctx = "
                    f"{self.max_length}; choose other tasks"
                )
        scores = self._scorer.score(pairs, progress=self._progress)
        return [(score.total, score.is_greedy) for score in scores]

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """The log-likelihood of each whole text, in the harness's windows."""
        totals = []
        for request in requests:
            (text,) = request.args
            windows = utils.get_rolling_token_windows(
                token_list=self.tok_encode(text),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            pairs = [("", *utils.make_disjoint_window(window)) for window in windows]
            totals.append(sum(total for total, _ in self._loglikelihood_tokens(pairs)))
        return totals

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Continue each context until one of its stops or the end of text."""
        texts = [""] * len(requests)
        groups: dict[SamplingOptions, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(self._options(request.args[1]), []).append(place)
        for options, places in groups.items():
            room = self.max_length - options.max_new_tokens
            contexts = [self.tok_encode(requests[place].args[0])[-room:] for place in places]
            rows = continuations(binding.bound(), self._loaded, contexts, options)
            for place, row in zip(places, rows, strict=True):
                texts[place] = row.text
        return texts

    def _options(self, asked: dict[str, Any]) -> SamplingOptions:
        lengths = [asked[key] for key in LENGTH_KEYS if key in asked]
        length = int(lengths[0]) if lengths else MOST_NEW_TOKENS
        if not 0 < length < self.max_length:
            raise UserError(
                f"the task generates up to {length} tokens, and n_ctx is {self.max_length}; "
                "choose a task that generates less"
            )
        until = asked.get("until") or []
        stops = [until] if isinstance(until, str) else until
        temperature = float(asked.get("temperature") or 0.0)
        does_sample = asked.get("do_sample", temperature > 0)
        return SamplingOptions(
            max_new_tokens=length,
            temperature=(temperature or 1.0) if does_sample else 0.0,
            top_p=asked.get("top_p") if does_sample else None,
            top_k=asked.get("top_k") if does_sample else None,
            stop=tuple(stop for stop in stops if stop),
        )


def run_tasks(
    model: HarnessModel,
    names: Sequence[str],
    *,
    include_path: Path | None = None,
    limit: int | None = None,
    num_fewshot: int | None = None,
) -> dict[str, Any]:
    """Run tasks by name and return the harness's results.

    include_path: a folder with the user's own task files.

    Raises UserError for an unknown task, and for unavailable data.
    """
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    manager = TaskManager(include_path=include_path, include_defaults=False)
    if not set(names) <= set(manager.all_tasks):
        manager = TaskManager(include_path=include_path)
    for name in names:
        if name not in manager.all_tasks:
            raise UserError(unknown_task(name, manager.all_tasks))
    try:
        results: dict[str, Any] = simple_evaluate(
            model=model,
            tasks=list(names),
            task_manager=manager,
            limit=limit,
            num_fewshot=num_fewshot,
            log_samples=False,
        )
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(_why_no_data(names, error)) from error
    return results


def version() -> str:
    """The installed version of lm-eval."""
    return importlib.metadata.version("lm_eval")


def unknown_task(name: str, known: Sequence[str]) -> str:
    """The message for an unknown task, with the nearest name."""
    guess = did_you_mean(name, known, otherwise="lm_eval ls tasks lists all")
    return f"there is no task {name!r}; {guess}"


def _why_no_data(names: Sequence[str], error: Exception) -> str:
    reason = " ".join(str(error).split())
    return (
        f"the data of {', '.join(names)} cannot be loaded ({reason[:200]}); connect to the Hub, or "
        "give --include-path with a task file that includes the task and names local data_files"
    )
