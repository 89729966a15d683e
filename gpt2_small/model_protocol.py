"""Type the config and the modules of a solution, which any file may define.

A model is an instance of the bound file's `Transformer`, so that the package cannot name its class.
These protocols say what the package reads of it: the names and shapes of `solution.py`. A function
that takes a `Model` needs the parts; one that takes an `nn.Module` runs any model.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

if TYPE_CHECKING:
    import gpt2_small


class Config(Protocol):
    """The shape of a GPT-2, as `solution.TransformerConfig` documents it: a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __hash__(self) -> int: ...
    @property
    def d_model(self) -> int: ...
    @property
    def n_layers(self) -> int: ...
    @property
    def n_heads(self) -> int: ...
    @property
    def d_head(self) -> int: ...
    @property
    def d_mlp(self) -> int: ...
    @property
    def n_ctx(self) -> int: ...
    @property
    def d_vocab(self) -> int: ...
    @property
    def layer_norm_eps(self) -> float: ...
    @property
    def init_std(self) -> float: ...
    @property
    def dropout(self) -> float: ...
    @property
    def tied_embeddings(self) -> bool: ...


class Part(Protocol):
    """The methods of nn.Module that the package uses of every module: calls and hooks."""

    def __call__(self, inputs: Tensor, /) -> Tensor: ...
    def register_forward_hook(self, hook: Callable[..., Any]) -> RemovableHandle: ...
    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, with_kwargs: bool = False
    ) -> RemovableHandle: ...


class Dropout(Part, Protocol):
    """An nn.Dropout."""

    p: float
    training: bool


class Norm(Part, Protocol):
    """A LayerNorm: gain and bias [d_model]."""

    eps: float
    w: nn.Parameter
    b: nn.Parameter


class Attention(Part, Protocol):
    """A MultiHeadAttention: weights [head d_model d_head], W_O [head d_head d_model]."""

    d_head: int
    W_Q: nn.Parameter
    W_K: nn.Parameter
    W_V: nn.Parameter
    W_O: nn.Parameter
    b_Q: nn.Parameter
    b_K: nn.Parameter
    b_V: nn.Parameter
    b_O: nn.Parameter

    @property
    def pattern_dropout(self) -> Dropout: ...
    @property
    def output_dropout(self) -> Dropout: ...


class FeedForward(Part, Protocol):
    """An MLP: W_in [d_model d_mlp], W_out [d_mlp d_model]."""

    W_in: nn.Parameter
    b_in: nn.Parameter
    W_out: nn.Parameter
    b_out: nn.Parameter

    @property
    def output_dropout(self) -> Dropout: ...


class Block(Part, Protocol):
    """A TransformerBlock."""

    @property
    def ln1(self) -> Norm: ...
    @property
    def attn(self) -> Attention: ...
    @property
    def ln2(self) -> Norm: ...
    @property
    def mlp(self) -> FeedForward: ...


class TokenEmbedding(Part, Protocol):
    """An Embedding: W_E [d_vocab d_model]."""

    W_E: nn.Parameter


class PositionEmbedding(Part, Protocol):
    """A PositionalEmbedding: W_pos [n_ctx d_model]."""

    W_pos: nn.Parameter


class Unembed(Part, Protocol):
    """An Unembedding: W_U [d_model d_vocab], b_U [d_vocab]."""

    W_U: nn.Parameter
    b_U: nn.Parameter


class Blocks(Protocol):
    """An nn.ModuleList of `Block`s, which torch declares to hold any modules."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __getitem__(self, layer: int, /) -> Any: ...


class Model(Part, Protocol):
    """A Transformer: its parts, and the methods of nn.Module that the package calls."""

    training: bool

    @property
    def config(self) -> Config: ...
    @property
    def embed(self) -> TokenEmbedding: ...
    @property
    def pos_embed(self) -> PositionEmbedding: ...
    @property
    def embed_dropout(self) -> Dropout: ...
    @property
    def blocks(self) -> Blocks: ...
    @property
    def ln_final(self) -> Norm: ...
    @property
    def unembed(self) -> Unembed | None: ...

    def train(self, mode: bool = True) -> Self: ...
    def eval(self) -> Self: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...
    def named_modules(self) -> Iterator[tuple[str, nn.Module]]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...
    def to(self, device: torch.device) -> Self: ...


if TYPE_CHECKING:
    # mypy checks that the reference satisfies the protocols.
    _config: type[Config] = gpt2_small.TransformerConfig
    _block: type[Block] = gpt2_small.TransformerBlock
    _model: type[Model] = gpt2_small.Transformer
