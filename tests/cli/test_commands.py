"""Every command: what it prints, its JSON, and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import b2brecs as b2b
from b2brecs.errors import SourceError
from tests.cli.conftest import ROOT, Cli

SECRET = "hunter2-very-secret"


def test_help_is_light_and_lists_the_commands():
    code = (
        "import sys\nfrom b2brecs.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    print('code', end.code)\n"
        "print([n for n in ('duckdb', 'pandas', 'pyarrow', 'sqlglot', 'pydantic', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["code 0", "[]"]
    for command in ("connections", "jobs", "runs", "secrets", "scheduler", "version"):
        assert f"  {command} " in done.stdout


def test_the_installed_program_is_this_one():
    from importlib.metadata import entry_points

    (point,) = entry_points(group="console_scripts", name="b2brecs")
    assert point.value == "b2brecs.cli:main"


def test_version(cli: Cli):
    assert cli("version").out == f"{b2b.__version__}\n"


# Connections


def test_connections_are_listed_tested_and_shown(cli: Cli):
    (row,) = json.loads(cli("connections", "list", "--json").out)
    assert row == {
        "connection": "shop", "leads to": "shop_memory", "used by": "nightly", "tested (UTC)": None, "outcome": "not tested",
    }  # fmt: skip
    assert cli("connections", "test", "shop").out == "2 tables\n"
    assert "works: 2 tables" in cli("connections", "list").out
    assert "source: shop_memory" in cli("connections", "show", "shop").out
    assert json.loads(cli("connections", "show", "shop", "--json").out)["source"]["kind"] == "shop_memory"


def test_the_source_can_be_looked_at(cli: Cli):
    assert json.loads(cli("connections", "tables", "shop", "--json").out)[0] == {"table": "one", "rows (estimate)": 4}
    assert json.loads(cli("connections", "schema", "shop", "one", "--json").out)[0] == {
        "column": "id", "type": "INT64", "nullable": True, "key": False,
    }  # fmt: skip
    found = json.loads(cli("connections", "preview", "shop", "one", "--limit", "2", "--json").out)
    assert found == [{"id": 0, "name": "row 0"}, {"id": 1, "name": "row 1"}]
    assert "row 1" in cli("connections", "preview", "shop", "one").out


def test_a_test_that_fails_is_code_1_and_a_sentence(cli: Cli, hooks):
    def refuse(_number: int) -> None:
        raise SourceError("memory", "closed", "Open it.")

    hooks["test"] = refuse
    answer = cli("connections", "test", "shop")
    assert (answer.code, answer.out, answer.err) == (1, "", "memory: closed Open it.\n")
    assert "Traceback" in cli("--debug", "connections", "test", "shop").err


def test_a_connection_is_added_replaced_and_deleted(cli: Cli, tmp_path):
    file = tmp_path / "c.json"
    file.write_text(b2b.Connection.of("other", "shop_memory", place="there").to_json())
    assert cli("connections", "add", str(file)).out == "connection 'other': version 1 saved\n"
    assert "stands unchanged" in cli("connections", "add", str(file)).out
    file.write_text(b2b.Connection.of("other", "shop_memory", place="beyond").to_json())
    conflict = cli("connections", "add", str(file))
    assert conflict.code == 2
    assert "was saved by someone else" in conflict.err
    assert "version 2" in cli("connections", "add", str(file), "--replace").out
    assert cli("connections", "delete", "other").code == 0
    refused = cli("connections", "delete", "shop")
    assert (refused.code, "etl_job 'nightly'" in refused.err) == (2, True)
    piped = b2b.Connection.of("piped", "shop_memory", place="pipe").to_json()
    assert cli("connections", "add", "-", stdin=piped).code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "this is not JSON"), ("[]", "not a JSON object"), ('{"name": "x"}', "source"), ('{"name": "x", "source": {"kind": "postgress"}}', "postgres")],
)  # fmt: skip
def test_a_file_that_is_no_connection_is_code_2(cli: Cli, tmp_path, text, said):
    file = tmp_path / "c.json"
    file.write_text(text)
    answer = cli("connections", "add", str(file))
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_what_is_not_there_is_code_2_with_the_nearest_name(cli: Cli, tmp_path):
    answer = cli("connections", "show", "shopp")
    assert answer.code == 2
    assert "Did you mean 'shop'?" in answer.err
    assert cli("connections", "add", str(tmp_path / "none.json")).code == 2
    assert cli("jobs", "run", "nightl").code == 2
    assert cli("runs", "show", "zzz").code == 2
    assert cli("frobnicate").code == 2
    assert cli("jobs", "run").code == 2
    wrong = cli("connections", "list", place="gcx://p/r")
    assert (wrong.code, "Write 'local'" in wrong.err) == (2, True)


# Jobs and runs


def test_a_job_runs_and_its_run_can_be_read(cli: Cli):
    answer = cli("jobs", "run", "nightly")
    assert answer.code == 0
    assert "completed" in answer.out
    assert "two" in answer.out
    (run,) = json.loads(cli("jobs", "run", "nightly", "--json").out)
    assert (run["status"], run["rows"], [t["target"] for t in run["tables"]]) == ("completed", 8, ["one", "two"])
    listed = json.loads(cli("jobs", "runs", "nightly", "--json").out)
    assert [each["status"] for each in listed] == ["completed", "completed"]
    assert listed[0]["run"] == run["run"]
    assert len(json.loads(cli("runs", "list", "--name", "nightly", "--limit", "1", "--json").out)) == 1
    assert "one: unchanged, 4 rows read" in cli("runs", "logs", run["run"]).out
    assert "one: completed" in cli("runs", "logs", listed[1]["run"]).out
    assert run["run"] in cli("runs", "show", run["run"][:8]).out
    assert json.loads(cli("runs", "show", run["run"], "--json").out)["run"] == run["run"]


def test_a_failed_run_is_code_1_and_printed_all_the_same(cli: Cli, home):
    with b2b.Workspace.local(home) as ws:
        ws.save(ws.load(b2b.EtlJob, "nightly").load("bad"))
    answer = cli("jobs", "run", "nightly", "--json")
    assert answer.code == 1
    assert json.loads(answer.out)[0]["status"] == "partial"
    assert "bad: memory: it is bad" in answer.err
    assert "Traceback" not in answer.err


def test_what_follows_runs_too_unless_told_not_to(cli: Cli, home):
    with b2b.Workspace.local(home) as ws:
        ws.save(b2b.EtlJob("after", connection="shop").load("one", into="again").after("nightly"))
    assert [run["name"] for run in json.loads(cli("jobs", "run", "nightly", "--json").out)] == ["nightly", "after"]
    assert len(json.loads(cli("jobs", "run", "nightly", "--no-follow", "--json").out)) == 1


def test_what_does_not_stream_is_code_2(cli: Cli):
    answer = cli("jobs", "stream", "nightly")
    assert (answer.code, "one table" in answer.err) == (2, True)


def test_jobs_are_listed_shown_added_and_deleted(cli: Cli, tmp_path):
    (row,) = json.loads(cli("jobs", "list", "--json").out)
    assert row == {"job": "nightly", "connection": "shop", "tables": "one, two", "timetable": "", "after": ""}
    file = tmp_path / "j.json"
    shown = json.loads(cli("jobs", "show", "nightly", "--json").out)
    file.write_text(json.dumps({**shown, "name": "copy"}))
    assert "etl_job 'copy': version 1 saved" in cli("jobs", "add", str(file)).out
    assert "connection: shop" in cli("jobs", "show", "copy").out
    assert cli("jobs", "delete", "copy").code == 0
    assert len(json.loads(cli("jobs", "list", "--json").out)) == 1


def test_jobs_are_scheduled_paused_resumed_and_unscheduled(cli: Cli):
    unplanned = cli("jobs", "schedule", "nightly")
    assert (unplanned.code, "no timetable" in unplanned.err) == (2, True)
    made = cli("jobs", "schedule", "nightly", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--json")
    (row,) = json.loads(made.out)
    assert (row["when"], row["time zone"], row["paused"]) == ("30 2 * * *", "Europe/Berlin", "")
    assert row["next times"].count("02:30") == 5
    assert cli("jobs", "pause", "nightly").code == 0
    assert json.loads(cli("jobs", "schedules", "--json").out)[0]["paused"] == "paused"
    assert cli("jobs", "resume", "nightly").code == 0
    assert "30 2 * * * Europe/Berlin" in cli("jobs", "list").out
    assert cli("jobs", "unschedule", "nightly").code == 0
    assert json.loads(cli("jobs", "schedules", "--json").out) == []
    assert cli("jobs", "pause", "nightly").code == 2
    wrong = cli("jobs", "schedule", "nightly", "--cron", "61 2 * * *", "--timezone", "Berlin")
    assert wrong.code == 2
    assert "cron" in wrong.err
    assert "timezone" in wrong.err


# Secrets


def test_a_secret_comes_from_stdin_or_a_prompt_and_is_never_printed(cli: Cli, os_keyring, monkeypatch):
    answer = cli("secrets", "put", "keyring:erp", "--stdin", stdin=f"{SECRET}\n")
    assert (answer.code, answer.out) == (0, "keyring:erp stored\n")
    assert os_keyring.kept == {("b2brecs", "erp"): SECRET}
    asked: list[str] = []

    def hidden(prompt: str) -> str:
        asked.append(prompt)
        return "rotated"

    monkeypatch.setattr("getpass.getpass", hidden)
    assert cli("secrets", "put", "keyring:erp").code == 0
    assert (asked, os_keyring.kept) == (["keyring:erp: "], {("b2brecs", "erp"): "rotated"})
    assert cli("secrets", "delete", "keyring:erp").code == 0
    assert os_keyring.kept == {}


def test_a_secret_as_an_argument_or_an_empty_one_is_refused(cli: Cli, os_keyring):
    refused = cli("secrets", "put", "keyring:erp", SECRET)
    assert refused.code == 2
    assert cli("secrets", "put", "keyring:erp", "--stdin", stdin="\n").code == 2
    wrong = cli("secrets", "put", SECRET, "--stdin", stdin="x")
    assert wrong.code == 2
    assert SECRET not in wrong.err
    assert os_keyring.kept == {}


# The home


def test_the_home_is_a_folder_an_address_or_that_of_the_environment(cli: Cli, home, monkeypatch):
    for place in (str(home), f"local:{home}"):
        assert len(json.loads(cli("jobs", "list", "--json", place=place).out)) == 1
    monkeypatch.setenv("B2BRECS_HOME", str(home))
    assert len(json.loads(cli("jobs", "list", "--json", place="").out)) == 1
    monkeypatch.setenv("B2BRECS_HOME", f"local:{home}")
    assert len(json.loads(cli("jobs", "list", "--json", place="").out)) == 1
