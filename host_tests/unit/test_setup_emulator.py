"""The emulator's set-up: what lacks is told in one line and stops nothing; half a build is not installed."""

import json
import shutil
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


class Pip:
    """Instead of pip: an index with one line of source, and a compiler that makes `built` of it."""

    def __init__(self, elsewhere: Path, *built: str) -> None:
        self.asked: list[str] = []
        self.compiled = ""
        self._elsewhere, self._built = elsewhere, built

    def __call__(self, *words: str, **settings: str) -> None:
        self.asked.append(words[0])
        version = emulator.importlib.metadata.version("rp2040py")
        if words[0] == "download":
            source = self._elsewhere / f"index/rp2040py-{version}"
            source.mkdir(parents=True)
            (source / "loop.pyx").write_text("slow\n")
            target = words[words.index("--dest") + 1]
            shutil.make_archive(f"{target}/rp2040py-{version}", "gztar", source.parent, source.name)
        elif words[0] == "wheel":
            self.compiled = Path(words[-1], "loop.pyx").read_text()
            wheel(emulator.WHEELS / f"rp2040py-{version}-py3-none-any.whl", *self._built)


@pytest.fixture
def patch(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A patch for that source."""
    path = elsewhere / "emulator.patch"
    path.write_text("--- a/loop.pyx\n+++ b/loop.pyx\n@@ -1 +1 @@\n-slow\n+fast\n")
    monkeypatch.setattr(emulator, "PATCH", path)
    monkeypatch.setattr(emulator, "lacks", lambda: None)
    return path


def test_the_patched_source_is_what_is_compiled(elsewhere, patch, monkeypatch, capsys):
    pip = Pip(elsewhere, "r/a.pyx", "r/a.so")
    monkeypatch.setattr(emulator, "pip", pip)
    emulator.main()
    assert pip.asked == ["download", "wheel", "install"]
    assert pip.compiled == "fast\n"
    assert capsys.readouterr().err == ""


def test_a_source_that_the_patch_does_not_fit_is_not_compiled(elsewhere, patch, monkeypatch, capsys):
    patch.write_text(patch.read_text().replace("-slow", "-slower"))
    pip = Pip(elsewhere, "r/a.pyx", "r/a.so")
    monkeypatch.setattr(emulator, "pip", pip)
    emulator.main()
    assert pip.asked == ["download"]
    assert capsys.readouterr().err.count("\n") == 1
    assert "FAILED" in (elsewhere / "build.log").read_text()


def test_a_half_compiled_emulator_is_not_installed(elsewhere, patch, monkeypatch, capsys):
    pip = Pip(elsewhere, "r/a.pyx", "r/b.pyx", "r/a.so")
    monkeypatch.setattr(emulator, "pip", pip)
    emulator.main()
    assert pip.asked == ["download", "wheel"]
    assert not list(emulator.WHEELS.iterdir())
    assert capsys.readouterr().err.count("\n") == 1
    assert not (elsewhere / "lacking").exists()


@pytest.mark.parametrize(("patched_by", "is_rebuilt"), [("cp-of-now", True), ("cp-of-then", False)])
def test_one_that_was_built_with_another_patch_is_built_anew(monkeypatch, patched_by, is_rebuilt):
    origin = json.dumps({"url": f"file:///home/build/emulator/{patched_by}/rp2040py.whl"})
    installed = type("Installed", (), {"read_text": lambda self, name: origin})()
    monkeypatch.setattr(emulator.importlib.metadata, "distribution", lambda package: installed)
    monkeypatch.setattr(emulator, "WHEELS", Path("cp-of-now"))
    assert emulator.is_rebuilt() is is_rebuilt


def test_a_wheel_that_was_built_once_is_installed_again(elsewhere, monkeypatch, capsys):
    asked = []
    version = emulator.importlib.metadata.version("rp2040py")
    built = wheel(elsewhere / "wheels" / f"rp2040py-{version}-cp3-abi3-linux.whl", "r/a.pyx", "r/a.abi3.so")
    monkeypatch.setattr(emulator, "lacks", lambda: None)
    monkeypatch.setattr(emulator, "pip", lambda *words, **settings: asked.append((words[0], words[-1])))
    emulator.main()
    assert asked == [("install", str(built))]
    assert capsys.readouterr().err == ""
