"""The emulator's set-up: what lacks is told in one line and stops nothing; half a build is not installed."""

import zipfile
from pathlib import Path

import pytest
from setup import emulator


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The set-up with all it writes in `tmp_path`, where the emulator is as it came from the index."""
    monkeypatch.setattr(emulator, "WHEELS", tmp_path / "wheels")
    monkeypatch.setattr(emulator, "LOG", tmp_path / "build.log")
    monkeypatch.setattr(emulator, "LACKING", tmp_path / "lacking")
    monkeypatch.setattr(emulator, "is_rebuilt", lambda: False)
    return tmp_path


def wheel(path: Path, *names: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


@pytest.fixture
def headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Python's headers are said to be."""
    monkeypatch.setattr(
        emulator.sysconfig, "get_paths", lambda: {"include": str(tmp_path), "platinclude": str(tmp_path)}
    )
    return tmp_path


@pytest.mark.parametrize("compiler", ["/nowhere/cc", "false"])
def test_a_compiler_that_does_not_work_is_named(headers, monkeypatch, compiler):
    (headers / "Python.h").touch()
    monkeypatch.setenv("CC", compiler)
    assert f"`{compiler}`" in (emulator.lacks() or "")


def test_headers_decide_whether_it_can_be_compiled(headers, monkeypatch):
    monkeypatch.setenv("CC", "cc")
    assert f"{headers}/Python.h" in (emulator.lacks() or "")
    (headers / "Python.h").touch()
    assert emulator.lacks() is None


def test_what_is_lacking_is_told_in_one_line_and_asked_again(elsewhere, monkeypatch, capsys):
    monkeypatch.setattr(emulator, "pip", lambda *words, **settings: pytest.fail("nothing may be built"))
    monkeypatch.setattr(emulator, "lacks", lambda: "there is no compiler")
    emulator.main()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1 and "no compiler" in said.err
    assert (elsewhere / "lacking").is_file()


def test_a_half_compiled_emulator_is_not_installed(elsewhere, monkeypatch, capsys):
    asked = []

    def pip(*words, **settings):
        asked.append(words[0])
        version = words[-1].partition("==")[2]
        wheel(emulator.WHEELS / f"rp2040py-{version}-py3-none-any.whl", "r/a.pyx", "r/b.pyx", "r/a.so")

    monkeypatch.setattr(emulator, "lacks", lambda: None)
    monkeypatch.setattr(emulator, "pip", pip)
    emulator.main()
    assert asked == ["wheel"]
    assert not list(emulator.WHEELS.iterdir())
    assert capsys.readouterr().err.count("\n") == 1
    assert not (elsewhere / "lacking").exists()


def test_a_wheel_that_was_built_once_is_installed_again(elsewhere, monkeypatch, capsys):
    asked = []
    version = emulator.importlib.metadata.version("rp2040py")
    built = wheel(elsewhere / "wheels" / f"rp2040py-{version}-cp3-abi3-linux.whl", "r/a.pyx", "r/a.abi3.so")
    monkeypatch.setattr(emulator, "lacks", lambda: None)
    monkeypatch.setattr(emulator, "pip", lambda *words, **settings: asked.append((words[0], words[-1])))
    emulator.main()
    assert asked == [("install", str(built))]
    assert capsys.readouterr().err == ""
