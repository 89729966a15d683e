"""Put the reference and the lessons inside the package when a wheel is built."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ReferenceInWheel(BuildHookInterface):
    """A wheel carries its own reference; an editable install reads the one in the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            build_data["force_include"]["solution.py"] = "gpt2_small/solution.py"
            build_data["force_include"]["lessons"] = "gpt2_small/lessons"
