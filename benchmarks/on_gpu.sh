#!/usr/bin/env bash
# Check and measure this kit on one GPU, in under eight minutes; writes on_gpu.json and prints tables.
#
#     benchmarks/on_gpu.sh [--nanogpt FOLDER] [--text FILE] [--json PATH] [--minutes N] [--sections NAME ...]
#
# Nothing is installed. It needs Python 3.11 or later with torch, einops, jaxtyping, tiktoken,
# safetensors, matplotlib, rich and transformers; PYTHON names another interpreter than python3.
# FOLDER is a checkout of nanoGPT, FILE tiny Shakespeare; without them their figures are left out.
# Exit code 1 when a check does not hold, 2 when it cannot run.

set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
PYTHONPATH="$(dirname -- "$here"):$here${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
export HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" "$here/gpu/on_gpu.py" "$@"
