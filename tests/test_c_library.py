"""C code is compiled once for each kind of machine, kept, and done without where it cannot be."""

import pytest
from native_code import CPU, FLOAT32, needs_compiler

from gpt2_small.model import c_library, native


def test_a_compiler_that_takes_too_long_is_stopped(monkeypatch, kept, tmp_path):
    (program := tmp_path / "compiler").write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))
    monkeypatch.setattr(c_library, "MOST_SECONDS", 0.1)
    assert native.unavailable(FLOAT32, CPU) == f"{program} took more than 0.1 seconds"


def test_a_compiler_that_is_no_command_is_quoted(monkeypatch, kept):
    monkeypatch.setenv("CC", 'gcc "')
    assert native.unavailable(FLOAT32, CPU) == "$CC is 'gcc \"' (No closing quotation)"


@needs_compiler
def test_it_is_compiled_once_and_kept(monkeypatch, kept):
    assert native.unavailable(FLOAT32, CPU) is None
    (library,) = kept.iterdir()
    made = library.stat()
    native.compiled.cache_clear()
    monkeypatch.setattr(c_library, "_run", lambda command: pytest.fail("compiled again"))
    assert native.unavailable(FLOAT32, CPU) is None
    assert library.stat() == made


@needs_compiler
def test_another_source_type_or_processor_has_a_library_of_its_own(monkeypatch, kept, tmp_path):
    for dtype in native.MACROS:
        native.compiled(native.SOURCE, dtype)
    (edited := tmp_path / native.SOURCE.name).write_text(native.SOURCE.read_text() + "\n")
    native.compiled(edited, FLOAT32)
    monkeypatch.setattr(c_library, "_processor", lambda: ("another",))
    native.compiled.cache_clear()
    native.compiled(native.SOURCE, FLOAT32)
    assert len(list(kept.iterdir())) == 4


@needs_compiler
def test_a_damaged_library_is_made_anew(kept):
    assert native.unavailable(FLOAT32, CPU) is None
    (library,) = kept.iterdir()
    whole = library.read_bytes()
    library.unlink()
    library.write_bytes(b"damaged")
    native.compiled.cache_clear()
    assert native.unavailable(FLOAT32, CPU) is None
    assert len(library.read_bytes()) == len(whole)


@needs_compiler
def test_a_cache_that_cannot_be_written_to_is_done_without(kept):
    kept.parent.mkdir()
    kept.write_text("a file where the folder should be")
    assert native.unavailable(FLOAT32, CPU) is None


@needs_compiler
def test_the_source_gives_no_warning(tmp_path):
    for macros in native.MACROS.values():
        defined = [f"-D{macro}" for macro in macros]
        command = [*c_library.compiler(), *c_library.FLAGS, *defined, "-Wall", "-Wextra", "-Werror"]
        c_library._run([*command, str(native.SOURCE), "-lm", "-o", str(tmp_path / "step.so")])
