"""Time the page's stream to the browser beside the stream of tokens inside it.

    python benchmarks/page_stream.py --preset gpt2 --new-tokens 64

Both continue the same prompt with the same options and ten candidates per token, alternating in
every round; the page's stream comes over HTTP, from a server in a thread, and is read to its end.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import torch
import uvicorn
from measuring import circumstances, console, interleaved, median_ratio, write

from gpt2_small import binding
from gpt2_small.app.models import Models
from gpt2_small.app.page.page import Page
from gpt2_small.app.serving.guard import Guard
from gpt2_small.app.serving.http_server import listening_socket
from gpt2_small.generation import SamplingOptions, Stream
from gpt2_small.model.presets import PRESETS
from gpt2_small.runs import create_run, save_checkpoint
from gpt2_small.tokenizers.registry import make_tokenizer

KEY = "benchmark"
CONTENT_TYPE = {"Content-Type": "application/json"}
TINY = dict(d_model=32, n_layers=2, n_heads=2, n_ctx=64, d_vocab=257)


def saved_model(folder: Path, preset: str) -> Path:
    """Save a run of this shape with fresh weights; the text does not matter here."""
    fields = TINY if preset == "tiny" else {"d_vocab": 50257, **PRESETS[preset]}
    fields["d_vocab"] = max(257, fields["d_vocab"])
    torch.manual_seed(0)
    solution = binding.bound()
    model = solution.Transformer(solution.TransformerConfig(**fields))
    create_run(folder, model_fields=fields, tokenizer=make_tokenizer("byte"), run={})
    save_checkpoint(folder, 1, model)
    return folder


def counted(function: Callable[[], None], work: list[float]) -> None:
    """Call the function, and append the CPU time that this process used."""
    began = time.process_time()
    function()
    work.append(time.process_time() - began)


@contextmanager
def served(models: Models) -> Iterator[HTTPConnection]:
    """Serve the page in a thread, and yield a connection to it."""
    page = Page(models, None)
    listener = listening_socket("127.0.0.1", 0)
    config = uvicorn.Config(
        Guard(page.application(), token=KEY), log_level="critical", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    connection = HTTPConnection(*listener.getsockname())
    yield connection
    connection.close()
    page.close()
    server.should_exit = True
    thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="gpt2", choices=["tiny", *PRESETS])
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = Models(str(saved_model(Path(folder) / "run", options.preset)))
    shown, prompt = models.get("main"), "Once upon a time"
    asked = {"max_new_tokens": options.new_tokens, "seed": 1, "candidates": 10}
    sampling = SamplingOptions(**asked, stop_tokens=())
    decoder = shown.loaded.new_decoder()
    body = json.dumps({"text": prompt, "ignore_end": True, **asked})

    def plain() -> None:
        stream = Stream(shown.solution, shown.loaded, [prompt], sampling, decoder=decoder)
        assert sum(1 for _ in stream) == options.new_tokens

    def page_stream() -> None:
        connection.request("POST", f"/{KEY}/api/continue", body, CONTENT_TYPE)
        assert connection.getresponse().read().count(b"\n") == options.new_tokens + 1
        connection.close()  # a slow round may exceed the keep-alive time

    work: dict[str, list[float]] = {"plain": [], "page": []}
    functions = {
        "plain": partial(counted, plain, work["plain"]),
        "page": partial(counted, page_stream, work["page"]),
    }
    with served(models) as connection:
        seconds = interleaved(functions, options.rounds, "cpu")
    speed = {name: options.new_tokens / min(values) for name, values in seconds.items()}
    cost = 1 - median_ratio(seconds["plain"], seconds["page"])
    more = median_ratio(work["page"][1:], work["plain"][1:]) - 1
    console.print(
        f"{options.preset}: the plain stream makes {speed['plain']:,.0f} tokens a second, the "
        f"page's {speed['page']:,.0f}: {100 * cost:.1f} % fewer (median of rounds); it takes "
        f"{100 * more:.1f} % more processor time"
    )
    results = {"tokens a second": speed, "cost": cost, "seconds": seconds, "processor": work}
    write(options.json, circumstances("cpu") | results)


if __name__ == "__main__":
    main()
