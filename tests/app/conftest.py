"""Define a small run, its served page, and the model and text that the page shows."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from app_pages import TEXT, page_of, small_run

from gpt2_small.app.models import Models, ShownModel


@pytest.fixture(scope="module")
def run(solution: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(solution, tmp_path_factory.mktemp("run") / "small", steps=(3, 9))


@pytest.fixture(scope="module")
def models(run: Path) -> Models:
    return Models(str(run))


@pytest.fixture(scope="module")
def client(models: Models) -> Iterator[httpx.Client]:
    with page_of(models) as (client, _):
        yield client


@pytest.fixture(scope="module")
def shown(models: Models) -> ShownModel:
    return models.get("main")


@pytest.fixture(scope="module")
def ids(shown: ShownModel) -> list[int]:
    return shown.tokenizer.encode(TEXT)
