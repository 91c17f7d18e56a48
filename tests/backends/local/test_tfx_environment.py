"""How the TFX environment is made, kept and used; real uv and real environments, of no packages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from b2brecs.backends.local.tfx import environment, interpreter
from b2brecs.backends.local.tfx.environment import EnvironmentFailed, TfxEnvironment
from b2brecs.errors import MissingExtra, RunFailed

ENSURE = """
import sys
from pathlib import Path
from b2brecs.backends.local.tfx.environment import ensure
ensure(Path(sys.argv[1]), lock=Path(sys.argv[2]), on_progress=lambda line: print(line, flush=True))
"""
KILLED = f"""
import os, signal
from b2brecs.backends.local.tfx import environment
environment._swap = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
{ENSURE}
"""


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text("# nothing\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TfxEnvironment:
    folder = tmp_path_factory.mktemp("made")
    lock = folder / "requirements.lock"
    lock.write_text("# nothing\n", "utf-8")
    return environment.ensure(folder / "tfx", lock=lock)


def script(folder: Path, text: str) -> Path:
    path = folder / "script.py"
    path.write_text(text, "utf-8")
    return path


def start(code: str, path: Path, lock: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, str(path), str(lock)], stdout=subprocess.PIPE, text=True)


def leftovers(path: Path) -> list[str]:
    return sorted(item.name for item in path.parent.glob(f".{path.name}.*") if item.suffix != ".lock")


def test_environment_is_made_with_the_right_python(made: TfxEnvironment, tmp_path: Path) -> None:
    lines: list[str] = []
    made.run(script(tmp_path, "import sys; print(sys.version_info[:2], sys.prefix)"), log=lines.append)
    assert lines == [f"(3, 11) {made.path}"]


def test_finished_environment_needs_no_uv(tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = environment.ensure(tmp_path / "tfx", lock=lock)
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", "")
    assert environment.ensure(tmp_path / "tfx", lock=lock) == first


def test_changed_lock_makes_it_anew(tmp_path: Path, lock: Path) -> None:
    made = environment.ensure(tmp_path / "tfx", lock=lock)
    (made.path / "old").touch()
    lock.write_text("# nothing, differently\n", "utf-8")
    assert environment.find(made.path, lock=lock) is None
    again = environment.ensure(made.path, lock=lock)
    assert environment.find(made.path, lock=lock) == again
    assert not (again.path / "old").exists()
    assert leftovers(again.path) == []


def test_killed_install_is_not_taken_for_a_finished_one(tmp_path: Path, lock: Path) -> None:
    path = tmp_path / "tfx"
    killed = start(KILLED, path, lock)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert leftovers(path) == [".tfx.partial"]
    assert environment.find(path, lock=lock) is None
    assert environment.ensure(path, lock=lock).python.exists()
    assert leftovers(path) == []


def test_of_two_callers_at_once_one_installs(tmp_path: Path, lock: Path) -> None:
    both = [start(ENSURE, tmp_path / "tfx", lock) for _ in range(2)]
    output = "".join(process.communicate()[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert output.count("Making the TFX environment") == 1
    assert environment.find(tmp_path / "tfx", lock=lock) is not None


def test_failed_install_says_why_and_leaves_nothing(tmp_path: Path, lock: Path) -> None:
    lock.write_text(f"b2brecs-is-not-this-one==9.9 --hash=sha256:{'0' * 64}\n", "utf-8")
    with pytest.raises(EnvironmentFailed, match="b2brecs-is-not-this-one"):
        environment.ensure(tmp_path / "tfx", lock=lock)
    assert not (tmp_path / "tfx").exists()
    assert leftovers(tmp_path / "tfx") == []


def test_package_without_hash_is_refused(tmp_path: Path, lock: Path) -> None:
    lock.write_text("b2brecs-is-not-this-one==9.9\n", "utf-8")
    with pytest.raises(EnvironmentFailed, match="hash"):
        environment.ensure(tmp_path / "tfx", lock=lock)


def test_foreign_folder_is_never_replaced(tmp_path: Path, lock: Path) -> None:
    (tmp_path / "tfx").mkdir()
    (tmp_path / "tfx" / "thesis.txt").touch()
    with pytest.raises(EnvironmentFailed, match="Delete it"):
        environment.ensure(tmp_path / "tfx", lock=lock)
    assert (tmp_path / "tfx" / "thesis.txt").exists()


def test_missing_uv_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingExtra, match=r"b2brecs\[tfx\]"):
        interpreter.find_uv()


def test_missing_python_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "VERSION", "3.99")
    with pytest.raises(interpreter.NoPython, match=r"uv python install 3\.99"):
        interpreter.find_python()


def test_uv_may_download_python_unless_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "VERSION", "3.99")
    monkeypatch.delenv("UV_PYTHON_DOWNLOADS")
    assert interpreter.find_python() == "3.99"


def test_location_comes_from_argument_then_variable_then_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.LOCATION_VARIABLE, str(tmp_path / "variable"))
    assert environment.location(tmp_path / "argument") == tmp_path / "argument"
    assert environment.location() == tmp_path / "variable"
    monkeypatch.delenv(environment.LOCATION_VARIABLE)
    assert environment.location().parts[-2:] == ("b2brecs", "tfx")


def test_failing_script_raises_with_its_last_lines(made: TfxEnvironment, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"(?s)script: ended with code 1.*ValueError: the price is a text") as caught:
        made.run(script(tmp_path, "raise ValueError('the price is a text')"))
    assert caught.value.stage == "script"


def test_module_can_be_run_by_name(made: TfxEnvironment) -> None:
    lines: list[str] = []
    made.run("platform", log=lines.append)
    assert lines


def test_secret_is_passed_but_never_shown(made: TfxEnvironment, tmp_path: Path) -> None:
    lines: list[str] = []
    text = "import os; print(len(os.environ['PASSWORD']), 'password is', os.environ['PASSWORD'])"
    made.run(script(tmp_path, text), log=lines.append, secrets={"PASSWORD": "hunter2!"})
    assert lines == ["8 password is ****"]


def test_secret_in_arguments_is_refused(made: TfxEnvironment, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in the arguments"):
        made.run(script(tmp_path, ""), ["--password=hunter2!"], secrets={"PASSWORD": "hunter2!"})


def test_other_python_settings_do_not_leak_in(
    made: TfxEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    lines: list[str] = []
    made.run(script(tmp_path, "import os; print(os.environ.get('PYTHONPATH'))"), env={"A": "1"}, log=lines.append)
    assert lines == ["None"]


def test_interrupted_caller_ends_the_script(made: TfxEnvironment, tmp_path: Path) -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.run(script(tmp_path, "import os, time; print(os.getpid()); time.sleep(600)"), log=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_command_prints_one_line_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "find", TfxEnvironment)
    assert environment.main(["--path", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"TFX environment is ready: {tmp_path}\n"


def test_import_stays_light() -> None:
    heavy = "{'tensorflow', 'tfx', 'pandas', 'pyarrow', 'pydantic', 'duckdb', 'uv', 'jinja2'}"
    code = f"import sys, b2brecs.backends.local.tfx.environment; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_lock_names_no_place() -> None:
    text = environment.LOCK.read_text("utf-8")
    assert "\ntfx==1.16.0 \\\n" in text
    assert "--hash=sha256:" in text
    assert not [word for word in ("http://", "https://", "--index-url", "--find-links", "file:") if word in text]
