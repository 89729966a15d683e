"""Serve a small model, and connect OpenAI's client to it."""

import importlib

import pytest
from app_pages import running, small_run

from gpt2_small.app.models import Models
from gpt2_small.app.openai.interface import served
from gpt2_small.app.serving.guard import Guard


@pytest.fixture(scope="module")
def openai():
    """Import OpenAI's package, which takes a second."""
    return importlib.import_module("openai")


@pytest.fixture(scope="module", params=["byte-chat"])
def interface(request, solution, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "run"
    made = served(Models(str(small_run(solution, folder, tokenizer_name=request.param))))
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(interface):
    with running(Guard(interface.application(), token=None)) as found:
        yield found


@pytest.fixture(scope="module")
def client(address, openai):
    return openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def name(client):
    return client.models.list().data[0].id
