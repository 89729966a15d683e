"""Make small models for the page, and serve the page without a network."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import uvicorn
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from gpt2_small.app.models import Models
from gpt2_small.app.page.page import Page
from gpt2_small.app.serving.http_server import address_of, listening_socket
from gpt2_small.runs import create_run, save_checkpoint
from gpt2_small.tokenizers.registry import make_tokenizer

SHAPE = dict(d_model=24, n_layers=2, n_heads=3, n_ctx=40)
TEXT = "A cat sat on a mat."
BYTES = 256
NEVER = -1e4  # added to logits of ids that must not be drawn
MASK, WRONG_MASK = "triu(diagonal=1)", "triu(diagonal=2)"


def small_run(
    solution: ModuleType,
    folder: Path,
    steps: tuple[int, ...] = (3,),
    tokenizer_name: str = "byte",
    **shape: Any,
) -> Path:
    """Create a run with random weights that are large enough for its heads to differ.

    tokenizer_name: byte or byte-chat. An untied model never draws an end of text or a role.
    """
    tokenizer = make_tokenizer(tokenizer_name)
    fields = SHAPE | dict(d_vocab=tokenizer.vocab_size + 3) | shape
    create_run(folder, model_fields=fields, tokenizer=tokenizer, run={})
    for step in steps:
        save_checkpoint(folder, step, random_model(solution, step, **fields))
    return folder


def random_model(solution: ModuleType, seed: int, **fields: Any) -> Any:
    """Return a model whose every parameter is random, gains and biases included.

    An untied one never draws an id above the bytes, so neither an end of text nor a role.
    """
    model = solution.Transformer(solution.TransformerConfig(**fields)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            is_gain = name.endswith(".w")
            parameter.copy_(1 + 0.1 * noise if is_gain else 0.3 * noise)
        if not model.config.tied_embeddings:
            model.unembed.b_U[BYTES:] = NEVER
    return model


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Serve an application on a real socket, in a thread, and yield its address."""
    listener = listening_socket("127.0.0.1", 0)
    config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield address_of(listener)
    finally:
        server.should_exit = True
        thread.join(timeout=10)


@contextmanager
def page_of(models: Models, learner: Any = None) -> Iterator[tuple[TestClient, Page]]:
    """Return a client of the page without the guard."""
    page = Page(models, learner)
    with TestClient(page.application(), raise_server_exceptions=False) as client:
        try:
            yield client, page
        finally:
            page.close()
            assert page.turns.close()


def lines(client: TestClient, path: str, **asked: Any) -> list[dict[str, Any]]:
    """Return the response's JSON objects, one per line."""
    response = client.post(f"/api/{path}", json=asked)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]
