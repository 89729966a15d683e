"""Test the compiled C library: its cache, its safety, and the fallback without it."""

import shutil

import pytest
from native_code import CPU, FLOAT32, needs_compiler

from gpt2_small.kernels.native import compiler as c_library
from gpt2_small.kernels.native import library as native


def test_a_compiler_that_takes_too_long_is_stopped(monkeypatch, kept, tmp_path):
    (program := tmp_path / "compiler").write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))
    monkeypatch.setattr(c_library, "MOST_SECONDS", 0.1)
    assert native.unavailable(FLOAT32, CPU) == f"{program} took more than 0.1 seconds"


def test_a_missing_compiler_is_quoted(monkeypatch, kept):
    monkeypatch.setenv("CC", 'gcc "')
    assert native.unavailable(FLOAT32, CPU) == "$CC is 'gcc \"' (No closing quotation)"


@needs_compiler
def test_the_library_is_compiled_once_and_cached(monkeypatch, kept):
    assert native.unavailable(FLOAT32, CPU) is None
    (library,) = kept.iterdir()
    made = library.stat()
    native.compiled.cache_clear()
    monkeypatch.setattr(c_library, "_run", lambda command: pytest.fail("compiled again"))
    assert native.unavailable(FLOAT32, CPU) is None
    assert library.stat() == made


@needs_compiler
def test_each_source_dtype_and_processor_has_its_own_library(monkeypatch, kept, tmp_path):
    for dtype in native.MACROS:
        native.compiled(native.SOURCE, dtype)
    (edited := tmp_path / native.SOURCE.name).write_text(native.SOURCE.read_text() + "\n")
    native.compiled(edited, FLOAT32)
    monkeypatch.setattr(c_library, "_processor", lambda: ("another",))
    native.compiled.cache_clear()
    native.compiled(native.SOURCE, FLOAT32)
    assert len(list(kept.iterdir())) == 4


@needs_compiler
def test_a_damaged_library_is_compiled_again(kept, monkeypatch, tmp_path):
    assert native.unavailable(FLOAT32, CPU) is None
    (whole,) = kept.iterdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    damaged = tmp_path / "elsewhere" / "gpt2-small" / "compiled" / whole.name
    damaged.parent.mkdir(parents=True)
    damaged.parent.chmod(0o700)
    damaged.write_bytes(b"damaged")
    damaged.chmod(0o700)
    native.compiled.cache_clear()
    assert native.unavailable(FLOAT32, CPU) is None
    assert damaged.stat().st_size == whole.stat().st_size


def plant(library):
    """Replace a library's file; the loaded library is not changed."""
    library.unlink()
    library.write_bytes(b"planted")
    library.chmod(0o700)


@pytest.mark.parametrize("mode", [0o720, 0o702])
@pytest.mark.parametrize("which", ["the library", "its folder"])
@needs_compiler
def test_a_cached_library_that_others_can_write_to_is_not_loaded(kept, monkeypatch, which, mode):
    assert native.unavailable(FLOAT32, CPU) is None
    (whole,) = kept.iterdir()
    loaded, load = [], c_library.ctypes.CDLL
    monkeypatch.setattr(c_library.ctypes, "CDLL", lambda path: loaded.append(path) or load(path))
    native.compiled.cache_clear()
    assert native.unavailable(FLOAT32, CPU) is None
    assert loaded == [str(whole)]
    plant(whole)
    (whole if which == "the library" else kept).chmod(mode)
    loaded.clear()
    native.compiled.cache_clear()
    assert native.unavailable(FLOAT32, CPU) is None
    assert (str(whole) in loaded) == (which == "the library")  # compiled again
    assert (whole.read_bytes() == b"planted") == (which == "its folder")


@needs_compiler
def test_a_cached_library_of_another_user_is_not_loaded(kept, monkeypatch):
    assert native.unavailable(FLOAT32, CPU) is None
    (whole,) = kept.iterdir()
    plant(whole)
    monkeypatch.setattr(c_library.os, "getuid", lambda: kept.stat().st_uid + 1)
    native.compiled.cache_clear()
    assert native.unavailable(FLOAT32, CPU) is None
    assert whole.read_bytes() == b"planted"


@needs_compiler
def test_without_a_writable_cache_the_library_is_available(kept):
    kept.parent.mkdir(parents=True)
    kept.write_text("a file where the folder should be")
    assert native.unavailable(FLOAT32, CPU) is None


@needs_compiler
def test_the_source_compiles_without_warnings(tmp_path):
    for macros in native.MACROS.values():
        defined = [f"-D{macro}" for macro in macros]
        command = [*c_library.compiler(), *c_library.FLAGS, *defined, "-Wall", "-Wextra", "-Werror"]
        c_library._run([*command, str(native.SOURCE), "-lm", "-o", str(tmp_path / "step.so")])


@needs_compiler
def test_without_a_home_folder_the_library_is_available(monkeypatch, kept):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(c_library.Path, "home", no_home)
    assert native.unavailable(FLOAT32, CPU) is None


def test_without_a_temporary_folder_the_library_is_unavailable(monkeypatch, kept):
    def no_folder(*arguments, **settings):
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(c_library.tempfile, "TemporaryDirectory", no_folder)
    assert "No usable temporary directory" in str(native.unavailable(FLOAT32, CPU))


@needs_compiler
def test_a_library_that_cannot_be_loaded_from_the_temporary_folder_is_loaded_from_the_cache(
    monkeypatch, kept
):
    load = c_library.ctypes.CDLL

    def loaded_from_the_cache(path):
        if not path.startswith(str(kept)):
            raise OSError("failed to map segment from shared object")
        return load(path)

    monkeypatch.setattr(c_library.ctypes, "CDLL", loaded_from_the_cache)
    assert native.unavailable(FLOAT32, CPU) is None


def test_a_compilers_message_in_another_encoding_is_quoted(monkeypatch, kept, tmp_path):
    (program := tmp_path / "compiler").write_bytes(
        b"#!/bin/sh\necho 'error: \xfcbel' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))
    assert native.unavailable(FLOAT32, CPU) == f"{program} failed (error: \ufffdbel)"


@needs_compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="the other compiler, g++, is not installed")
def test_a_cpp_compiler_is_called_with_the_language_c(monkeypatch, kept):
    monkeypatch.setenv("CC", "g++")
    assert native.unavailable(FLOAT32, CPU) is None
