"""Define a finished run, and small trainings in this process."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from resumed_runs import finished_run
from small_trainings import trainings

from gpt2_small.training.loop import Training


@pytest.fixture(scope="module")
def finished(solution: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(solution, tmp_path_factory.mktemp("finished"))


@pytest.fixture
def new_training(solution: ModuleType, tmp_path: Path) -> Callable[..., Training]:
    return trainings(solution, tmp_path)
