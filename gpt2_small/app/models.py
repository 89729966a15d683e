"""Load and reload the page's models: the main one, its checkpoints, and the reference."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.generation import LoadedModel, open_model
from gpt2_small.model.building import fill
from gpt2_small.model_protocol import Config, Model
from gpt2_small.runs import Run, read_run
from gpt2_small.runs.checkpoint_folders import WEIGHTS
from gpt2_small.runs.folder import is_run
from gpt2_small.solution_errors import explain
from gpt2_small.tokenizers.protocol import Tokenizer

MAIN, REFERENCE, STEP = "main", "reference", "step:"
MOST_BESIDE = 2

# The fields of a TransformerConfig, the parameters by name, the tokenizer, the label.
Weights = tuple[dict[str, Any], Mapping[str, Tensor], Tokenizer, str]


@dataclass(frozen=True)
class ShownModel:
    """A model of the page, and the solution module of its classes.

    key: its identifier in requests.
    """

    key: str
    solution: ModuleType
    loaded: LoadedModel

    @property
    def model(self) -> Model:
        """Its Transformer."""
        return self.loaded.model

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        return self.loaded.tokenizer

    @property
    def label(self) -> str:
        """Its name on the screen."""
        return self.loaded.name


class Models:
    """The models of one page, by key, for use in the model thread alone.

    solution: the module of the main model; left out, the bound one. A learner's is reloaded after
        every save.
    problem: a sentence with the reason why there is no main model, or None.
    remarks: notes for the user about the main model.
    """

    def __init__(
        self,
        name: str | None,
        *,
        solution: ModuleType | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.name = name
        self.solution = solution or binding.bound()
        self.problem: str | None = None
        self._device = device
        self._main: ShownModel | None = None
        self._last_weights: Weights | None = None
        self._beside: OrderedDict[str, ShownModel] = OrderedDict()
        self._run = Path(name) if name is not None and is_run(Path(name)) else None
        self._text = binding.sha256(self.solution)
        self.remarks: tuple[str, ...] = ()
        self._open()

    def _open(self) -> None:
        if self.name is None:
            self.problem = "no model was named; start it again as gpt2-small app MODEL"
            return
        try:
            loaded = open_model(self.name, device=self._device)
            self.remarks = loaded.remarks
            if self.solution is not binding.bound():
                fields, weights, *_ = weights_of(loaded)
                model = build(self.solution, fields, weights, self._device)
                loaded = LoadedModel(loaded.name, model, loaded.tokenizer)
        except UserError:
            raise
        except (Exception, SystemExit) as error:  # a learner's Transformer may raise anything
            if not self._is_learners():
                raise
            self.problem = learners_error(self.solution, error)
            return
        self._show(self.solution, loaded)

    def _show(self, solution: ModuleType, loaded: LoadedModel) -> None:
        """Make this the main model."""
        self.problem, self.solution = None, solution
        self._main, self._last_weights = ShownModel(MAIN, solution, loaded), weights_of(loaded)

    def _is_learners(self) -> bool:
        return not binding.is_reference(self.solution)

    def choices(self) -> list[dict[str, Any]]:
        """The available models, as JSON values, the main one first."""
        self._reload()
        found: list[dict[str, Any]] = []
        if self._main is not None:
            found.append({"key": MAIN, "label": self._main.label, "kind": MAIN})
        if self._is_learners() and (self._last_weights is not None or self._run is not None):
            label = "the reference, on the same weights"
            found.append({"key": REFERENCE, "label": label, "kind": REFERENCE})
        if self._run is not None:
            found += [
                {"key": f"{STEP}{step}", "label": f"step {step:,}", "kind": "step", "step": step}
                for step in (checkpoint.step for checkpoint in read_run(self._run).checkpoints)
            ]
        return found

    def get(self, key: str) -> ShownModel:
        """The model with this key. Raises UserError when there is none."""
        if key == MAIN:
            return self._current()
        if key not in self._beside:
            self._beside[key] = self._opened(key)
            while len(self._beside) > MOST_BESIDE:
                self._beside.popitem(last=False)
        self._beside.move_to_end(key)
        return self._beside[key]

    def _current(self) -> ShownModel:
        """The main model, rebuilt if the learner's file was saved since."""
        self._reload()
        if self._main is None:
            raise UserError(self.problem or "there is no model")
        return self._main

    def _reload(self) -> None:
        """Rebuild the main model if the learner's file has changed."""
        if not self._is_learners():
            return
        path = binding.solution_path(self.solution)
        try:
            text = binding.read(path)
        except UserError:
            return  # being saved, or deleted: use the last version
        digest = hashlib.sha256(text).hexdigest()
        if digest == self._text:
            return
        self._text = digest
        try:
            module = binding.load(path)
            fields, weights, tokenizer, label = self._weights()
            model = build(module, fields, weights, self._device)
        except UserError as error:
            self.problem, self._main = str(error), None
        except (Exception, SystemExit) as error:
            self.problem, self._main = learners_error(module, error), None
        else:
            self._beside.clear()
            self._show(module, LoadedModel(label, model, tokenizer))

    def _opened(self, key: str) -> ShownModel:
        known = [choice["key"] for choice in self.choices()]
        if key not in known:
            raise UserError(f"there is no model {key!r}; there are {', '.join(known) or 'none'}")
        if key.startswith(STEP):
            fields, weights, tokenizer, _ = self._weights_of_run(int(key.removeprefix(STEP)))
            solution, label = self.solution, key.replace(":", " ")
        else:
            solution, label = binding.load(binding.reference_path()), "the reference"
            fields, weights, tokenizer, _ = self._weights()
        model = build(solution, fields, weights, self._device)
        return ShownModel(key, solution, LoadedModel(label, model, tokenizer))

    def _weights(self) -> Weights:
        """The weights of the latest main model, or of the run if the file gave no model yet."""
        return self._last_weights or self._weights_of_run(None)

    def _weights_of_run(self, step: int | None) -> Weights:
        run = self.run()
        if run is None:
            raise UserError(
                f"{self.name} was not loaded, because of your file; start gpt2-small app again"
            )
        checkpoint = run.latest_checkpoint() if step is None else run.checkpoint(step)
        label = f"{self.name}, step {checkpoint.step:,}"
        return run.model_fields, checkpoint.tensors(WEIGHTS), run.load_tokenizer(), label

    def run(self) -> Run | None:
        """The run of the main model, read again; None for another kind of model."""
        return None if self._run is None else read_run(self._run)


def build(
    solution: ModuleType,
    fields: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    device: str | torch.device,
) -> Any:
    """Build this module's Transformer with these weights, in eval mode.

    Raises UserError when the weights do not fit, and the module's own exceptions.
    """
    with torch.random.fork_rng(devices=[]):
        model = solution.Transformer(solution.TransformerConfig(**fields))
    if not isinstance(model, nn.Module):
        raise UserError(f"Transformer(config) of {solution.__file__} is not an nn.Module")
    fill(model, weights, source="the model's weights")
    return model.to(device).eval()


def config_fields(config: Config) -> dict[str, Any]:
    """The fields of a TransformerConfig."""
    return {name: getattr(config, name) for name in type(config).__dataclass_fields__}


def weights_of(loaded: LoadedModel) -> Weights:
    """The fields, weights, tokenizer and label of a model, for another module to build it."""
    parameters = dict(loaded.model.named_parameters())
    return config_fields(loaded.model.config), parameters, loaded.tokenizer, loaded.name


def learners_error(solution: ModuleType, error: BaseException) -> str:
    """The reason why a learner's file gives no model, with its line."""
    return explain(Path(str(solution.__file__)), error)
