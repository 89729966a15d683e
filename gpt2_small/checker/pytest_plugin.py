"""Define the pytest plugin: `--solution FILE`, the `solution` fixture, the `component` marker.

pytest loads it in every project of an environment, so heavy imports are deferred.
"""

import os
import warnings
from collections.abc import Generator
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

import pytest

from gpt2_small import binding
from gpt2_small.checker.parts import NotWrittenYet
from gpt2_small.errors import UserError

_CHOSEN = pytest.StashKey[str | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("gpt2-small").addoption(
        "--solution",
        metavar="FILE",
        help="run the tests of the parts in FILE, and only those "
        f"(default: ${binding.SOLUTION_VARIABLE}, else all tests on the reference)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Restart pytest with the option and its file as one argument.

    Otherwise pytest, which reads its settings before it knows the option, takes the file for a
    test folder, and ignores the settings of the working directory.
    """
    given = [str(word) for word in config.invocation_params.args]
    if "--solution" not in given[:-1]:
        return None
    place = given.index("--solution")
    words = [*given[:place], "=".join(given[place : place + 2]), *given[place + 2 :]]
    if config.pluginmanager.hasplugin("xdist"):
        words.insert(0, "-n0")  # a single process, which checks the file once
    if capture := config.pluginmanager.getplugin("capturemanager"):
        capture.stop_global_capturing()
    return int(pytest.main(words, plugins=config.invocation_params.plugins))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "component(name): the part of the bound solution that a test is about"
    )
    config.addinivalue_line("markers", "claim: a test that is a claim of `gpt2-small check`")
    option = config.getoption("--solution")
    chosen = os.environ.get(binding.SOLUTION_VARIABLE) or None if option is None else option
    config.stash[_CHOSEN] = chosen
    if chosen is not None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default")  # a warning in a learner's file is not a failure
                binding.bind(chosen)
        except UserError as error:
            pytest.exit(str(error), returncode=2)


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.stash[_CHOSEN] is not None:
        return f"solution: {binding.describe(binding.bound())}"
    in_the_kit = config.rootpath == binding.reference_path().parent
    return f"solution: {binding.THE_REFERENCE}" if in_the_kit else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignore files without marked tests, because with a bound file none would run."""
    if config.getoption("--solution") is None or collection_path.suffix != ".py":
        return None
    return True if b"component" not in collection_path.read_bytes() else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    if config.stash[_CHOSEN] is None:
        return
    if config.getoption("--solution") is not None and not _named_tests(config):
        from gpt2_small.checker.pytest_items import claim_items

        items[:] = [item for item in items if not item.get_closest_marker("claim")]
        items += claim_items(session)
    wanted = [item for item in items if item.get_closest_marker("component")]
    for item in wanted:  # a warning in a learner's file is not a failure
        item.add_marker(pytest.mark.filterwarnings("default"), append=False)
    if wanted or config.getoption("--solution") is not None:
        config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
        items[:] = wanted


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("component"):
        for name in marker.args:
            if not hasattr(binding.bound(), name):
                raise NotWrittenYet(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report an unwritten part in one line, without a traceback."""
    part = _unwritten_part(call.excinfo.value) if call.excinfo else None
    if call.excinfo is None or part is None:
        return (yield)
    said = pytest.fail.Exception(f"{part} is not written yet", pytrace=False)
    call.excinfo = pytest.ExceptionInfo.from_exc_info((type(said), said, call.excinfo.tb))
    report = yield
    report.longrepr = str(said)
    report.not_written = part  # type: ignore[attr-defined]
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    if report.failed and hasattr(report, "not_written"):
        return "failed", "F", "FAILED"
    return None


@pytest.fixture(scope="session")
def solution() -> ModuleType:
    """The bound solution."""
    return binding.bound()


def _named_tests(config: pytest.Config) -> bool:
    """Whether the command line names tests."""
    return config.args_source == pytest.Config.ArgsSource.ARGS


def _unwritten_part(error: BaseException) -> str | None:
    """The part whose absence or NotImplementedError ended a test."""
    if isinstance(error, NotWrittenYet):
        return str(error)
    if not isinstance(error, NotImplementedError):
        return None
    from gpt2_small.checker.error_explanations import is_not_written

    if not is_not_written(binding.bound(), error):
        return None
    code = _last_code(error.__traceback__)
    in_solution = code is not None and code.co_filename == binding.bound().__file__
    return code.co_qualname.split(".")[0] if code is not None and in_solution else None


def _last_code(traceback: TracebackType | None) -> CodeType | None:
    code = None
    while traceback is not None:
        code, traceback = traceback.tb_frame.f_code, traceback.tb_next
    return code
