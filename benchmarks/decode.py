"""Measure the speed of greedy decoding, ours against transformers, nanoGPT and TransformerLens.

    python benchmarks/decode.py --nanogpt FOLDER
    python benchmarks/decode.py --device cuda --dtype bfloat16

Each call reads a prompt and generates new tokens; all models alternate in every round.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import (
    ceilings,
    circumstances,
    console,
    data_sheet,
    interleaved,
    median_ratio,
    show,
    write,
)
from peer_models import SHAPES, Shape, hugging_face, nanogpt, reference, transformer_lens
from torch import Tensor

import gpt2_small
from gpt2_small.kernels.native.library import unavailable
from gpt2_small.model.cached_decoder import CachedDecoder
from gpt2_small.model.packed_weights import PackedTransformer

PEER = "transformers float32"
SETTINGS = {
    "ours": "packed weights, static cache; its step in C on a CPU, a CUDA graph on CUDA",
    "ours, by torch": "on a CPU, the same with a step of torch's operators",
    "ours, compiled": "the same with a compiled step, on CUDA",
    "transformers": "sdpa, its cache, a loop around forward with logits_to_keep=1",
    "transformers generate": "sdpa, generate(use_cache=True, do_sample=False)",
    "nanoGPT": "its generate, which has no cache; top_k=1",
    "TransformerLens": "TransformerBridge.generate, use_past_kv_cache=True, do_sample=False",
}
Decode = Callable[[Tensor, int], object]


def decode_ours(decoder: CachedDecoder, prompts: Tensor, new_tokens: int) -> None:
    logits = decoder.prefill(prompts)
    for number in range(new_tokens):
        tokens = gpt2_small.sample(logits, temperature=0.0)
        if number < new_tokens - 1:
            logits = decoder.step(tokens)


@torch.inference_mode()
def decode_transformers(model: Any, prompts: Tensor, new_tokens: int) -> None:
    tokens, past = prompts, None
    for _ in range(new_tokens):
        output = model(tokens, past_key_values=past, use_cache=True, logits_to_keep=1)
        past = output.past_key_values
        tokens = output.logits[:, -1].argmax(dim=-1, keepdim=True)


@torch.inference_mode()
def generate_transformers(model: Any, prompts: Tensor, new_tokens: int) -> None:
    model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        max_new_tokens=new_tokens,
        min_new_tokens=new_tokens,
        do_sample=False,
        use_cache=True,
        pad_token_id=0,
    )


def contestants(arguments: argparse.Namespace) -> dict[str, Decode]:
    """Return the decoders by name and dtype; missing peers are skipped with a message."""
    shape, device = SHAPES[arguments.preset], arguments.device
    torch.manual_seed(0)
    ours = reference(shape).to(device).eval()
    found: dict[str, Decode] = {}
    for name in arguments.dtype:
        dtype = getattr(torch, name)
        weights = PackedTransformer(ours, dtype=dtype)
        decoder = CachedDecoder(weights)
        found[f"ours {name}"] = partial(decode_ours, decoder)
        if device == "cuda":
            compiled = CachedDecoder(weights, compile=True)
            found[f"ours {name}, compiled"] = partial(decode_ours, compiled)
        if (theirs := hugging_face(shape)) is not None:
            theirs = theirs.to(device, dtype).eval()
            found[f"transformers {name}"] = partial(decode_transformers, theirs)
    if arguments.all:
        found |= other_contestants(arguments, shape, ours)
    for name in sorted({"transformers"} - {key.split()[0] for key in found}):
        console.print(f"{name}: skipped, not found")
    return found


def other_contestants(arguments: argparse.Namespace, shape: Shape, ours: Any) -> dict[str, Decode]:
    """Return the slower decoders; the peers' run in float32."""
    found: dict[str, Decode] = {}
    for name in arguments.dtype if arguments.device == "cpu" else ():
        weights = PackedTransformer(ours, dtype=getattr(torch, name), native=False)
        by_torch = CachedDecoder(weights)
        found[f"ours {name}, by torch"] = partial(decode_ours, by_torch)
    if (theirs := hugging_face(shape)) is not None:
        theirs = theirs.to(arguments.device).eval()
        found["transformers generate"] = partial(generate_transformers, theirs)
    if (nano := nanogpt(shape, arguments.nanogpt)) is not None:
        nano = nano.to(arguments.device).eval()
        found["nanoGPT"] = partial(nano.generate, top_k=1)
    if (bridge := transformer_lens(shape)) is not None:
        bridge = bridge.to(arguments.device).eval()
        found["TransformerLens"] = partial(
            bridge.generate,
            do_sample=False,
            use_past_kv_cache=True,
            stop_at_eos=False,
            verbose=False,
        )
    for name in {"transformers generate", "nanoGPT", "TransformerLens"} - set(found):
        console.print(f"{name}: skipped, not found")
    return found


def bytes_per_step(shape: Shape, batch: int, length: float, bytes_per_number: int) -> float:
    """Return the bytes that a step reads: all multiplied weights, and the cache of every row."""
    weights = shape.n_layers * 12 * shape.d_model**2 + shape.d_vocab * shape.d_model
    cache = 2 * shape.n_layers * shape.d_model * length * batch
    return (weights + cache) * bytes_per_number


def rows_of(
    seconds: dict[str, list[float]], arguments: argparse.Namespace, batch: int, bandwidth: float
) -> list[dict[str, Any]]:
    shape, new = SHAPES[arguments.preset], arguments.new_tokens
    rows = []
    for name, values in seconds.items():
        width = 2 if "bfloat16" in name else 4
        read = bytes_per_step(shape, batch, arguments.prompt + new / 2, width) * new
        median = statistics.median(values)
        rows.append(
            {
                "decoder": name,
                "tokens/s": round(batch * new / median, 1),
                "ms a step": round(1000 * median / new, 2),
                "GB/s": round(read / median / 1e9, 1),
                "share of bandwidth": f"{read / median / bandwidth:.0%}",
                f"of {PEER}": f"{median_ratio(seconds[PEER], values):.2f}x"
                if PEER in seconds
                else None,
            }
        )
    return rows


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--preset", choices=SHAPES, default="gpt2")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--prompt", type=int, default=16, help="tokens of the prompt")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7, help="measured calls of every model")
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--nanogpt", type=Path, help="folder of a nanoGPT checkout")
    parser.add_argument("--all", action="store_true", help="measure the slower decoders too")
    parser.add_argument("--ceiling-size", type=int, help="side of the ceiling's matrices")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    results: dict[str, Any] = {"circumstances": circumstances(arguments.device)}
    results["arguments"] = {key: str(value) for key, value in vars(arguments).items()}
    console.print_json(data=results["circumstances"])
    results["ceilings"] = ceilings(arguments.device, arguments.rounds, arguments.ceiling_size)
    known = data_sheet(arguments.device)
    bandwidth = (known and known.memory_rate) or results["ceilings"]["bytes/s"]
    for name, setting in SETTINGS.items():
        console.print(f"{name}: {setting}")
    for name in arguments.dtype:
        if why_not := unavailable(getattr(torch, name), torch.device(arguments.device)):
            console.print(f"ours {name}: the step in C is unavailable: {why_not}")
    found = contestants(arguments)
    for batch in arguments.batch:
        size = (batch, arguments.prompt)
        prompts = torch.randint(SHAPES[arguments.preset].d_vocab, size, device=arguments.device)
        calls = {
            name: partial(decode, prompts, arguments.new_tokens) for name, decode in found.items()
        }
        seconds = interleaved(calls, arguments.rounds, arguments.device)
        rows = rows_of(seconds, arguments, batch, bandwidth)
        title = f"{arguments.new_tokens} tokens after {arguments.prompt}, batch {batch}"
        show(f"{arguments.preset}, {title}; {bandwidth / 1e9:.1f} GB/s", rows)
        results[f"batch {batch}"] = {"seconds": seconds, "table": rows}
    write(arguments.json, results)


if __name__ == "__main__":
    main()
