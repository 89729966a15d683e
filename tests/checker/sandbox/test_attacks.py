"""Test wrong files that tamper with their environment: each fails or gets a remark."""

import ast
import os

import pytest
from checking import check_text, reference_with, started_checker
from default_share import few

from gpt2_small.checker.grading.outside_access import outside_accesses
from gpt2_small.checker.sandbox.limits import confines_signals

END = "        return normalized * self.w + self.b\n"
WRONG = "        return torch.zeros_like(residual)\n"

# Writes to every descriptor the messages of a LayerNorm that passes all claims.
FAKE = """import json, os
from safetensors.torch import save
def frame(b): return len(b).to_bytes(8, 'little') + b
seen = save({'built': torch.zeros(1)}, metadata={'texts': '{}', 'order': '["built"]'})
sight = {'problem': None, 'line': None, 'written': True, 'seconds': 0}
said = b''.join(frame(json.dumps({'start': n}).encode())
                + frame(json.dumps({'sight': sight}).encode()) + frame(seen) for n in range(30))
for fd in range(3, 64):
    try:
        os.write(fd, said)
    except OSError:
        pass
"""

# Code at the end of a file whose LayerNorm returns zeros.
TAMPERING = {
    "torch.where": "torch.where = lambda *a, **k: torch.zeros(())",
    "Tensor.sub": "Tensor.sub = Tensor.__sub__ = Tensor.__rsub__ = lambda a, b: a * 0",
    "Tensor.abs": "Tensor.abs = lambda a: a * 0",
    "Tensor.max": "Tensor.max = Tensor.amax = Tensor.item = lambda *a, **k: 0.0",
    "torch.equal": "torch.equal = torch.allclose = lambda *a, **k: True",
    "randn": "torch.randn = lambda *s, **k: torch.zeros(s[0] if len(s) == 1 else s)",
    "generators": "torch.Tensor.normal_ = Tensor.uniform_ = lambda self, *a, **k: self.zero_()",
    "einops": "import einops\neinops.reduce = einops.rearrange = lambda x, *a, **k: x",
    "json": "import json\njson.dumps = lambda *a, **k: '{\"start\": 0}'",
    "safetensors": "import safetensors.torch as s\ns.save = lambda *a, **k: b''",
    "exit": "import atexit, os\natexit.register(lambda: os._exit(0))",
    "a tensor that equals all": (
        "class Liar(Tensor):\n    def __eq__(self, other):\n        return True\n"
        "LayerNorm.forward = lambda self, r: torch.zeros_like(r).as_subclass(Liar)"
    ),
    "no summary": (
        "import sys\nfor m in list(sys.modules.values()):\n"
        "    if hasattr(m, 'Claim'):\n        m.Claim.summarised = lambda self, seen: {}"
    ),
    "no difference": (
        "import gpt2_small.checker.claims.judging.runner as r\nr.difference = lambda *a: None\n"
        "r.judged = lambda *a: None"
    ),
    "nothing observed": (
        "import gpt2_small.checker.sandbox.child as c\n"
        "from gpt2_small.checker.claims.judging.runner import Sight\nc.look = lambda *a: Sight({})"
    ),
    "all passed": (
        "import gpt2_small.checker.sandbox.child as c\n"
        "from gpt2_small.checker.claims.judging.runner import Sight\n"
        "c.look = lambda *a: Sight({}, None, None, True)\nc.pack = lambda seen: b''"
    ),
    "expectations in memory": (
        "import gc\nfound = [o for o in gc.get_objects() if isinstance(o, dict)\n"
        "         and 'the output for inputs of size 1' in o]\n"
        "LayerNorm.forward = lambda self, r: found[0]['the output for inputs of size 1']"
    ),
    "the reference in memory": (
        "import gc\nothers = [o for o in gc.get_objects() if isinstance(o, type)\n"
        "          and o.__name__ == 'LayerNorm' and o is not LayerNorm\n"
        "          and 'gpt2_small' in str(o.__module__)]\n"
        "LayerNorm.forward = lambda self, r: others[0].forward(self, r)"
    ),
    "the reference's code": (
        "import gc, types\nothers = [o for o in gc.get_objects() if isinstance(o, "
        "types.FunctionType)\n          and o.__qualname__ == 'LayerNorm.forward'"
        " and o is not LayerNorm.forward\n          and 'torch' not in o.__module__]\n"
        "LayerNorm.forward = lambda self, r: others[0](self, r)"
    ),
    "frames": (
        "import sys\ndef look_around(self, residual):\n    frame = sys._getframe()\n"
        "    while frame:\n        for v in frame.f_locals.values():\n"
        "            if isinstance(v, dict) and 'the row' in v:\n"
        "                return v['the row']\n"
        "        frame = frame.f_back\n    return torch.zeros_like(residual)\n"
        "LayerNorm.forward = look_around"
    ),
    "a fake observation while it is loaded": FAKE,
    "a fake observation while it is observed": (
        FAKE.replace("for fd", "def fake(self, config):\n  for fd").replace("\n    ", "\n      ")
        + "\nLayerNorm.__init__ = fake"
    ),
    "a message without end": (
        "import os\nfor fd in range(3, 64):\n    try:\n"
        "        os.write(fd, (1 << 62).to_bytes(8, 'little'))\n    except OSError:\n        pass"
    ),
    "nested messages": (
        "import os\nbomb = b'[' * 200_000\nfor fd in range(3, 64):\n    try:\n"
        "        os.write(fd, len(bomb).to_bytes(8, 'little') + bomb[:4000])\n"
        "        os.close(fd)\n    except OSError:\n        pass"
    ),
    "a mode of torch's functions": (
        "from torch.overrides import TorchFunctionMode\nclass Mode(TorchFunctionMode):\n"
        "    def __torch_function__(self, f, types, args=(), kwargs=None):\n"
        "        return True if f is torch.equal else f(*args, **(kwargs or {}))\n"
        "Mode().__enter__()"
    ),
    "operators registered again": (
        "library = torch.library.Library('aten', 'IMPL')\n"
        "library.impl('sub.Tensor', lambda a, b, alpha=1: torch.zeros_like(a), 'CPU')"
    ),
    "a tracer": (
        "import sys\ndef tracer(frame, event, arg):\n    for name in list(frame.f_locals):\n"
        "        if name == 'problem':\n            frame.f_locals[name] = None\n"
        "    return tracer\nsys.settrace(tracer)\nsys.setprofile(tracer)"
    ),
    "no limits": (
        "import faulthandler, signal\nfaulthandler.cancel_dump_traceback_later()\n"
        "signal.setitimer(signal.ITIMER_PROF, 0)\nfaulthandler.disable()"
    ),
    "subclasses": (
        "nn.Module.__init_subclass__ = lambda *a, **k: None\n"
        "nn.Module.__setattr__ = lambda self, n, v: object.__setattr__(self, n, v)"
    ),
    "modules": "nn.Module.__call__ = lambda self, x: x * 0",
}


# One for each protection: the verdict is reached in another process, expected values are never in
# the memory of the file's process, and its messages are not trusted.
BY_DEFAULT = (
    "torch.equal",
    "randn",
    "json",
    "exit",
    "a tensor that equals all",
    "no difference",
    "all passed",
    "expectations in memory",
    "the reference in memory",
    "frames",
    "a fake observation while it is loaded",
    "a fake observation while it is observed",
    "a message without end",
    "nested messages",
    "a tracer",
)


@pytest.mark.parametrize("what", few(BY_DEFAULT, TAMPERING))
def test_a_wrong_part_fails_whatever_the_file_tampers_with(tmp_path, what) -> None:
    text = reference_with((END, WRONG)) + "\n\n" + TAMPERING[what] + "\n"
    verdict = check_text(tmp_path, text, "LayerNorm", naming=False, checker=started_checker())
    assert verdict.error is not None or verdict.state_of("LayerNorm") in ("failed", "not_written")
    assert verdict.exit_code != 0


# Code in LayerNorm's forward.
INSIDE = {
    "import os; os._exit(0)": "it ends the Python process",
    "import ctypes; ctypes.CDLL(None)._exit(0)": "it ends the Python process",
    "import sys; sys.exit(0)": "exit()",
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": "crashes the Python interpreter",
    "import resource as r; r.setrlimit(r.RLIMIT_AS, (-1, -1)); [0] * (1 << 40)": "",
}


@pytest.mark.parametrize("statement", INSIDE)
def test_a_part_that_ends_its_process_fails_with_the_reason(tmp_path, statement) -> None:
    text = reference_with((END, f"        {statement}\n{WRONG}"))
    verdict = check_text(tmp_path, text, "LayerNorm", naming=False, checker=started_checker())
    assert verdict.state_of("LayerNorm") == "failed"
    assert INSIDE[statement] in verdict.reason("LayerNorm")


def test_a_file_that_kills_its_parent_passes_no_check_and_the_next_file_is_judged(tmp_path) -> None:
    from gpt2_small import UserError

    kill = "\n\nimport os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n"

    def check() -> None:
        text = reference_with((END, WRONG)) + kill
        verdict = check_text(tmp_path, text, "LayerNorm", naming=False)
        raise UserError(str(verdict.error))

    is_refused = "PermissionError|Operation not permitted"
    with pytest.raises(UserError, match=is_refused if confines_signals() else "process ended"):
        check()
    assert check_text(tmp_path, reference_with(), "LayerNorm").exit_code == 0


@pytest.mark.skipif(not confines_signals(), reason="this kernel does not confine signals")
def test_a_file_cannot_signal_other_processes_of_the_user(tmp_path) -> None:
    """Signal 0 only asks whether a process can be signalled; -1 means all that can be."""
    text = reference_with() + (
        "\n\nimport os, signal\n"
        f"for process in ({os.getpid()}, os.getppid()):\n"
        "    try:\n"
        "        os.kill(process, 0)\n"
        "    except PermissionError:\n"
        "        continue\n"
        "    raise ValueError(f'{process} can be signalled')\n"
    )
    verdict = check_text(tmp_path, text, "LayerNorm", naming=False)
    assert verdict.error is None
    assert verdict.exit_code == 0


REMARKED = {
    "torch.where = max": "assigns to torch.where",
    "torch.Tensor.sub = max": "assigns to torch.Tensor.sub",
    "Tensor.sub = Tensor.add = max": "assigns to Tensor.sub",
    "a, F.gelu = 1, max": "assigns to F.gelu",
    "torch.__dict__['where'] = max": "assigns to torch.__dict__['where']",
    "setattr(nn.Module, '__call__', max)": "changes nn.Module",
    "del torch.where": "assigns to torch.where",
    "import gc": "imports gc",
    "torch.os": "uses torch.os",
    "torch.serialization.inspect.getsource": "uses torch.serialization.inspect",
    "torch.sys.modules": "uses sys.modules",
    "sys.path.append('..')": "uses sys.path",
    "from ctypes import CDLL": "imports ctypes",
    "import os.path as p": "imports os",
    "import subprocess": "imports subprocess",
    "import sys as s; s.modules": "uses sys.modules",
    "from sys import modules": "uses sys.modules",
    "torch.sys.path_hooks": "uses sys.path_hooks",
    "vars(torch)['sys']": "calls vars(torch)",
    "torch.from_file('a')": "calls from_file",
    "sys._getframe()": "uses _getframe",
    "object.__subclasses__()": "uses __subclasses__",
    "getattr(f, '__globals__')": "uses __globals__",
    "sys.modules['a']": "uses sys.modules",
    "from safetensors import safe_open; safe_open('a')": "calls safe_open",
}


@pytest.mark.parametrize("line", REMARKED)
def test_code_that_accesses_more_than_a_model_needs_gets_a_remark_with_its_line(line: str) -> None:
    text = (
        f"import torch, sys\nfrom torch import Tensor, nn\nimport torch.nn.functional as F\n{line}"
    )
    assert (4, REMARKED[line]) in outside_accesses(ast.parse(text))


def test_an_ordinary_file_gets_no_remark() -> None:
    assert outside_accesses(ast.parse(reference_with())) == []


def test_a_librarys_setting_gets_no_remark() -> None:
    text = "import torch\ntorch.backends.cudnn.benchmark = torch.backends.cudnn.enabled = True"
    assert outside_accesses(ast.parse(text)) == []
