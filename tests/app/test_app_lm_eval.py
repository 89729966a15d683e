"""Test `serve` under lm-evaluation-harness: local-completions gets the exact likelihoods."""

import json
from typing import Any

import pytest
import torch
from app_pages import running, small_run
from starlette.types import ASGIApp, Receive, Scope, Send

from gpt2_small.app.models import Models
from gpt2_small.app.openai.interface import served
from gpt2_small.app.serving.guard import Guard

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PAIRS = [("A cat", " sat"), ("A cat sat on", " a mat."), ("Two", " dogs ran")]


@pytest.fixture(scope="module")
def interface(solution, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "run"
    made = served(Models(str(small_run(solution, folder, tokenizer_name="byte-chat"))))
    yield made
    made.close()


def likelihoods(address: str, name: str) -> list[tuple[float, bool]]:
    completions = pytest.importorskip(
        "lm_eval.models.openai_completions", reason="lm-eval is not installed"
    )
    from lm_eval.api.instance import Instance

    model = completions.LocalCompletionsAPI(
        base_url=f"{address}/v1/completions", model=name, max_length=40, num_concurrent=1
    )
    assert model.tokenizer_backend == "remote"
    requests = [
        Instance("loglikelihood", {}, pair, number, ("task", number, 1))
        for number, pair in enumerate(PAIRS)
    ]
    return model.loglikelihood(requests, disable_tqdm=True)


def true_likelihoods(interface: Any) -> list[tuple[float, bool]]:
    tokenizer, model = interface.shown.tokenizer, interface.shown.model
    found = []
    for context, continuation in PAIRS:
        before, after = (tokenizer.encode_ordinary(text) for text in (context, continuation))
        logits = model(torch.tensor([[*before, *after]]))[0, len(before) - 1 : -1]
        log_probs = logits[:, : tokenizer.vocab_size].log_softmax(dim=-1)
        chosen = log_probs.gather(1, torch.tensor(after)[:, None])
        is_greedy = log_probs.argmax(dim=-1).tolist() == after
        found.append((chosen.sum().item(), is_greedy))
    return found


def agree(found: list[tuple[float, bool]], expected: list[tuple[float, bool]]) -> bool:
    return all(
        one == pytest.approx(other, abs=1e-4) and greedy == is_greedy
        for (one, greedy), (other, is_greedy) in zip(found, expected, strict=True)
    )


def test_lm_eval_gets_the_likelihoods_of_the_model(interface) -> None:
    with running(Guard(interface.application(), token=None)) as address:
        assert agree(likelihoods(address, interface.name), true_likelihoods(interface))


class WithoutEcho:
    """A server that does not return the prompt which it was asked to score, as many do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def changed() -> Any:
            message = await receive()
            if message.get("body") and b'"echo"' in message["body"]:
                content = json.loads(message["body"])
                prompts = content["prompt"]
                content |= {"echo": False, "max_tokens": len(prompts[0]) + 1, "prompt": prompts}
                message["body"] = json.dumps(content).encode()
            return message

        await self._app(scope, changed, send)


def test_a_server_without_echo_is_detected(interface) -> None:
    app = Guard(WithoutEcho(interface.application()), token=None)
    with running(app) as address:
        found = likelihoods(address, interface.name)
    assert not agree(found, true_likelihoods(interface))
