"""Programs that build the image: how they end, what they see, and what is shown of them."""

import sys

import pytest
from image import build, process
from image.process import BuildError, compiler_environment, run


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_output_goes_to_the_log_and_quarters_to_the_screen(tmp_path, capsys):
    log = tmp_path / "log"
    text = "for p in (3, 20, 26, 27, 55, 90, 100): print(f'[{p:3d}%] Building')"
    run("compiling", python(text), log, tmp_path)
    assert log.read_text().count("Building\n") == 7
    shown = capsys.readouterr().out.splitlines()
    assert shown[:-1] == [f"image: compiling ...{percent}" for percent in ("", " 26 %", " 55 %", " 90 %")]
    assert shown[-1].startswith("image: compiling: ")


def test_failure_shows_the_end_of_what_the_program_said(tmp_path):
    log = tmp_path / "log"
    log.write_text("from an earlier program\n")
    text = "import sys\nfor i in range(100): print(f'line {i}.', flush=True)\nsys.exit('no such pin')"
    with pytest.raises(BuildError) as failed:
        run("compiling", python(text), log, tmp_path)
    said = str(failed.value)
    assert "line 99." in said and "no such pin" in said and str(log) in said
    assert "line 1." not in said and "earlier" not in said


def test_missing_program_is_named(tmp_path):
    with pytest.raises(BuildError, match="no-such-compiler is not installed"):
        run("compiling", ["no-such-compiler"], tmp_path / "log", tmp_path)


def test_compilers_do_not_see_the_callers_flags(monkeypatch):
    monkeypatch.setenv("CFLAGS", "-O0")
    monkeypatch.setenv("PICO_BOARD", "pico2")
    environment = compiler_environment(CXXFLAGS="-g")
    assert "PATH" in environment
    assert environment["CXXFLAGS"] == "-g"
    assert not {"CFLAGS", "PICO_BOARD"} & environment.keys()


def test_short_command_that_is_not_there_says_nothing():
    assert process.output(["no-such-compiler", "--version"]) == ""
    assert process.output(python("print(' 1.2 ')")) == "1.2"


@pytest.mark.parametrize(("files", "says"), [([], "not a MicroPython source tree"), (["x"], "submodules")])
def test_checkout_that_cannot_be_built_says_why(tmp_path, files, says):
    if files:
        (tmp_path / "ports/rp2").mkdir(parents=True)
        (tmp_path / "ports/rp2/CMakeLists.txt").touch()
    with pytest.raises(BuildError, match=says):
        build._sources_of_checkout(tmp_path)
