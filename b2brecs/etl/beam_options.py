"""A job's engine options as those of a Beam pipeline, checked before anything is started."""

from __future__ import annotations

import contextlib
import io
import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from b2brecs.configs.connection import Connection
from b2brecs.configs.secrets import Secret
from b2brecs.errors import ConfigError, Problem, nearest, require, show
from b2brecs.etl.parts import is_remote

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

# Beam's own default looks for a runner on the network first.
HERE = "FnApiRunner"
_TITLE = "Engine"
# Options that may be given several times: here separated by commas.
_MANY = frozenset({
    "dataflow_service_option", "dataflow_service_options", "experiment", "experiments", "extra_package",
    "extra_packages", "label", "labels",
})  # fmt: skip
_BRINGS_US = (
    "sdk_container_image", "worker_harness_container_image", "extra_packages", "extra_package", "requirements_file",
    "setup_file",
)  # fmt: skip


def pipeline_options(options: Mapping[str, str], *, folder: str, table: str, connection: Connection) -> PipelineOptions:
    """Return the options of a pipeline that writes into ``folder``.

    ``true`` and ``false`` are switches; a job's name, and for Dataflow the temporary folder, are filled in.

    Raises
    ------
    ConfigError
        An option is unknown, wrong or missing, or the workers could not reach what they need. All at once.
    MissingExtra
        Apache Beam is not installed.
    """
    require("apache_beam", feature="the Beam engine", extra="dataflow")
    given: dict[str, Any] = {name.removeprefix("--"): _value(name.removeprefix("--"), text)
                             for name, text in options.items()}  # fmt: skip
    runner = given.setdefault("runner", HERE)
    if plain_name(runner) == "direct":
        given["runner"] = HERE
    problems = _dataflow(given, folder) if plain_name(runner) == "dataflow" else []
    if is_remote(runner):
        problems += _secrets(connection, runner)
    if problems:
        raise ConfigError(_TITLE, problems)
    given.setdefault("job_name", f"b2brecs-{_slug(table)}-{uuid.uuid4().hex[:8]}")
    if plain_name(runner) == "dataflow":
        given.setdefault("temp_location", f"{folder}/temporary")
    # Else a notebook's variables, whatever they hold, would be written beside the pipeline.
    if "save_main_session" not in given:
        given["no_save_main_session"] = True
    return _parsed(given, any_name=is_remote(runner) and plain_name(runner) != "dataflow")


def plain_name(runner: str) -> str:
    """Return a runner's name as one word: ``dataflow`` of ``DataflowRunner``."""
    return runner.rpartition(".")[2].casefold().removesuffix("runner")


def stays_here(options: Mapping[str, str]) -> bool:
    """Say whether the workers are threads of this process."""
    runner = options.get("runner", HERE)
    return plain_name(runner) in ("fnapi", "direct") and options.get("direct_running_mode") != "multi_processing"


def _value(name: str, text: str) -> str | bool | list[str]:
    if name in _MANY:
        return [item.strip() for item in text.split(",") if item.strip()]
    switched = {"true": True, "false": False}.get(text.casefold())
    return text if switched is None or not _is_switch(name) else switched


def _is_switch(name: str) -> bool:
    """Say whether an option stands without a value."""
    options: Any = require("apache_beam.options.pipeline_options", feature="the Beam engine", extra="dataflow")
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            options.PipelineOptions([f"--{name}"]).get_all_options()
    except SystemExit:
        return False
    return True


def _dataflow(given: Mapping[str, Any], folder: str) -> list[Problem]:
    problems = [
        Problem(f"options[{name!r}]", "", "Dataflow needs it.", f"Add {name!r}: {example!r}.")
        for name, example in (("project", "my-project"), ("region", "europe-west3"))
        if not given.get(name)
    ]
    if not folder.startswith("gs://"):
        problems.append(
            Problem("files", show(folder), "Dataflow's workers cannot write to this machine.",
                    "Use a workspace whose files lie in a bucket: 'gcp://project/region?bucket=name'.")
        )  # fmt: skip
    temporary = given.get("temp_location")
    if temporary is not None and not str(temporary).startswith("gs://"):
        problems.append(
            Problem("options['temp_location']", show(temporary), "this is not a bucket.", "Write 'gs://bucket/tmp'.")
        )
    if not any(given.get(name) for name in _BRINGS_US):
        problems.append(
            Problem("options", "", "Dataflow's workers have no b2brecs.",
                    "Give 'sdk_container_image', an image that holds it, or 'extra_packages', its wheel.")
        )  # fmt: skip
    return problems


def _secrets(connection: Connection, runner: str) -> list[Problem]:
    settings = connection.source
    return [
        Problem(f"connection {connection.name!r}.{name}", value.reference,
                f"the keyring of this machine cannot be read by the workers of {runner}.",
                "Store the secret where they can: ws.secrets.put('gcp:name').")
        for name, value in ((name, getattr(settings, name)) for name in type(settings).model_fields)
        if isinstance(value, Secret) and value.scheme == "keyring"
    ]  # fmt: skip


def _parsed(given: dict[str, Any], *, any_name: bool) -> PipelineOptions:
    options: Any = require("apache_beam.options.pipeline_options", feature="the Beam engine", extra="dataflow")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            made: PipelineOptions = options.PipelineOptions.from_dictionary(given)
            known = set(options.PipelineOptions([]).get_all_options())
            found = made.get_all_options(retain_unknown_options=True)
    except SystemExit:
        # Beam's parser ends the process instead of raising.
        reason = (said.getvalue().strip().splitlines() or ["an option is wrong"])[-1]
        raise ConfigError.single(_TITLE, "options", given, f"{reason.rpartition('error: ')[2]}.") from None
    strange = [] if any_name else sorted(set(found) - known)
    if strange:
        problems = [
            Problem(f"options[{name!r}]", show(given.get(name, "")), "Beam has no such option.", nearest(name, known))
            for name in strange
        ]
        raise ConfigError(_TITLE, problems)
    return made


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")[:40] or "table"
