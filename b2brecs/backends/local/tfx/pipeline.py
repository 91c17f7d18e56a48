# mypy: ignore-errors
# ruff: noqa: ANN201
"""Run a TFX pipeline on this machine; a script that runs inside the TFX environment.

    python pipeline.py spec.json

The specification is a JSON object:

``name``, ``root``
    The pipeline's name and the folder for its artefacts and metadata.
``examples``
    ``{"folder": ..., "format": "parquet" | "csv" | "tfrecord", "splits": ["train", "eval", "test"]}``; each split
    is a folder of that name. Of CSV, TFX takes a quoted header's quotes for part of the name.
``catalogue``
    A folder of Parquet files with all products; the exported model recommends these.
``preprocessing_module``, ``trainer_module``
    Python files with ``preprocessing_fn`` and ``run_fn``.
``train_steps``, ``eval_steps``
    Batches; 0 or absent leaves both to the trainer.
``push_to``
    The folder that receives the servable model.
``custom_config``, ``beam_args``, ``cache``
    Optional: values for ``run_fn``, Beam's arguments, and whether unchanged steps are skipped.
``result``
    The JSON file to write: ``ok``, ``artefacts`` (component, key, URIs), ``metrics``, ``vocabularies``,
    ``saved_model``, ``transform_graph``, ``seconds`` and ``stage_seconds``; on failure ``ok`` is false, with
    ``stage`` and ``error``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import absl.logging
import parquet_examples
from tfx import v1 as tfx
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.dsl.components.base import executor_spec
from tfx.orchestration import metadata

SUFFIX = {"parquet": "*.parquet", "csv": "*.csv", "tfrecord": "*"}
BEAM_ARGS = ["--runner=FnApiRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]


class Stages(logging.Filter):
    """Note which component runs and for how long; of TFX's log, let through that, warnings and errors."""

    def __init__(self) -> None:
        super().__init__()
        self.current = "pipeline"
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def enter(self, stage: str) -> None:
        """Begin a stage, and with it end the one before."""
        now = time.monotonic()
        self.seconds[self.current] = round(self.seconds.get(self.current, 0.0) + now - self._since, 1)
        self.current, self._since = stage, now

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line is shown."""
        message = record.getMessage()
        found = re.fullmatch(r"Component (\S+) is (running|finished)\.", message)
        if found:
            self.enter(found[1] if found[2] == "running" else "pipeline")
        warned = record.levelno >= logging.WARNING and not message.startswith("ArtifactQuery.")
        return bool(found) or warned


def example_gen(examples: dict) -> FileBasedExampleGen:
    """Make the step that reads the examples, one folder per split."""
    kind = examples.get("format", "parquet")
    splits = examples.get("splits", ["train", "eval"])
    inputs = tfx.proto.Input(
        splits=[tfx.proto.Input.Split(name=split, pattern=f"{split}/{SUFFIX[kind]}") for split in splits]
    )
    folder = examples["folder"]
    empty = [split for split in splits if not any(Path(folder, split).glob(SUFFIX[kind]))]
    if empty or not {"train", "eval"} <= set(splits):
        message = f"{folder} must hold {kind} files in train, eval and every other split; missing: {empty or splits}"
        raise FileNotFoundError(message)
    if kind == "csv":
        return tfx.components.CsvExampleGen(input_base=folder, input_config=inputs).with_id("ExampleGen")
    if kind == "tfrecord":
        return tfx.components.ImportExampleGen(input_base=folder, input_config=inputs).with_id("ExampleGen")
    executor = executor_spec.BeamExecutorSpec(parquet_examples.Executor)
    step = FileBasedExampleGen(input_base=folder, input_config=inputs, custom_executor_spec=executor)
    return step.with_id("ExampleGen")


def function(module: str, name: str) -> str:
    """Make a module file importable and return the dotted name of its function."""
    path = Path(module).resolve()
    if not path.is_file():
        message = f"there is no module file {path}"
        raise FileNotFoundError(message)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    return f"{path.stem}.{name}"


def build(spec: dict) -> tfx.dsl.Pipeline:
    """Make the pipeline that a specification describes."""
    root = Path(spec["root"])
    splits = spec["examples"].get("splits", ["train", "eval"])
    custom = {**spec.get("custom_config", {}), "catalogue": str(root / "catalogue.tfrecord.gz")}
    examples = example_gen(spec["examples"])
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    # Without inferred shapes every column may lack values, so a null at serving is no surprise.
    schema = tfx.components.SchemaGen(
        statistics=statistics.outputs["statistics"],
        infer_feature_shape=False,
        exclude_splits=[split for split in splits if split != "train"],
    )
    transform = tfx.components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn=function(spec["preprocessing_module"], "preprocessing_fn"),
        splits_config=tfx.proto.SplitsConfig(analyze=["train"], transform=splits),
        disable_statistics=True,
    )
    trainer = tfx.components.Trainer(
        run_fn=function(spec["trainer_module"], "run_fn"),
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(splits=["train"], num_steps=spec.get("train_steps") or None),
        eval_args=tfx.proto.EvalArgs(splits=["eval"], num_steps=spec.get("eval_steps") or None),
        custom_config=custom,
    )
    destination = tfx.proto.PushDestination.Filesystem(base_directory=spec["push_to"])
    pusher = tfx.components.Pusher(
        model=trainer.outputs["model"],
        push_destination=tfx.proto.PushDestination(filesystem=destination),
    )
    return tfx.dsl.Pipeline(
        pipeline_name=spec["name"],
        pipeline_root=str(root),
        components=[examples, statistics, schema, transform, trainer, pusher],
        metadata_connection_config=connection(root),
        beam_pipeline_args=spec.get("beam_args", BEAM_ARGS),
        enable_cache=bool(spec.get("cache", False)),
    )


def connection(root: Path):
    """Return how to reach the pipeline's metadata."""
    return tfx.orchestration.metadata.sqlite_metadata_connection_config(str(root / "metadata.db"))


def artefacts(root: Path) -> dict[str, dict[str, list[str]]]:
    """List what the newest run made: component → output → URIs."""
    found: dict[str, dict[str, list[str]]] = {}
    with metadata.Metadata(connection(root)) as handle:
        store = handle.store
        run = max(store.get_contexts_by_type("pipeline_run"), key=lambda item: item.id)
        for execution in store.get_executions_by_context(run.id):
            nodes = [item for item in store.get_contexts_by_execution(execution.id) if item.type == "node"]
            component = nodes[0].name.rsplit(".", 1)[-1]
            events = [event for event in store.get_events_by_execution_ids([execution.id]) if event.type in (4, 7)]
            uris = {item.id: item.uri for item in store.get_artifacts_by_id([event.artifact_id for event in events])}
            for event in events:
                key = event.path.steps[0].key
                found.setdefault(component, {}).setdefault(key, []).append(uris[event.artifact_id])
    return found


def outcome(spec: dict) -> dict:
    """Describe a finished run."""
    made = artefacts(Path(spec["root"]))
    graph = Path(made["Transform"]["transform_graph"][0])
    vocabularies = sorted((graph / "transform_fn" / "assets").glob("*"))
    metrics = Path(made["Trainer"]["model_run"][0]) / "metrics.json"
    versions = sorted(Path(spec["push_to"]).glob("*/saved_model.pb"))
    return {
        "ok": True,
        "artefacts": made,
        "metrics": json.loads(metrics.read_text("utf-8")) if metrics.exists() else {},
        "vocabularies": {path.name: str(path) for path in vocabularies},
        "saved_model": str(versions[-1].parent),
        "transform_graph": str(graph),
    }


def run(spec: dict, stages: Stages) -> dict:
    """Run the pipeline and describe what came of it."""
    root = Path(spec["root"])
    root.mkdir(parents=True, exist_ok=True)
    stages.enter("Catalogue")
    rows = parquet_examples.write_tfrecord(spec["catalogue"], str(root / "catalogue.tfrecord.gz"))
    if not rows:
        message = f"the catalogue holds no product: {spec['catalogue']}"
        raise ValueError(message)
    stages.enter("pipeline")
    tfx.orchestration.LocalDagRunner().run(build(spec))
    return outcome(spec)


def main(path: str) -> int:
    """Read the specification, run it, and write the result whatever happens."""
    started = time.monotonic()
    spec = json.loads(Path(path).read_text("utf-8"))
    stages = Stages()
    absl.logging.set_verbosity(absl.logging.INFO)
    absl.logging.get_absl_logger().addFilter(stages)
    try:
        result = run(spec, stages)
    except Exception as error:  # noqa: BLE001
        absl.logging.exception("%s failed", stages.current)
        result = {"ok": False, "stage": stages.current, "error": f"{type(error).__name__}: {error}"}
    stages.enter("end")
    result["seconds"] = round(time.monotonic() - started, 1)
    result["stage_seconds"] = stages.seconds
    target = Path(spec["result"])
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    partial.write_text(json.dumps(result, indent=1, ensure_ascii=False), "utf-8")
    partial.replace(target)
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
