"""What a Beam pipeline is told and given: options checked beforehand, and never a secret."""

import base64
import bz2
import json
import pickle
import re
import zlib
from contextlib import suppress

import pytest

from b2brecs.configs.secrets import Secret
from b2brecs.errors import ConfigError
from b2brecs.etl import beam as engine
from b2brecs.etl.beam_options import pipeline_options
from tests.etl.beam_source import PASSWORD, TABLE, connect, pieces

pytest.importorskip("apache_beam")


FLOW = {
    "runner": "DataflowRunner", "project": "acme-shop", "region": "europe-west3", "machine_type": "n1-standard-2",
    "max_num_workers": "10", "experiments": "use_runner_v2, shuffle_mode=service", "no_use_public_ips": "true",
    "sdk_container_image": "europe-docker.pkg.dev/acme-shop/b2brecs/worker:1",
}  # fmt: skip


def flow(**changes):
    given = {name: value for name, value in (FLOW | changes).items() if value}
    return pipeline_options(given, folder="gs://bucket/r1", table='"; DROP 😀 Ü', connection=connect("x"))


def test_options_of_dataflow():
    from apache_beam.options import pipeline_options as views

    made = flow()
    google, workers = made.view_as(views.GoogleCloudOptions), made.view_as(views.WorkerOptions)
    assert (google.project, google.region) == ("acme-shop", "europe-west3")
    assert google.temp_location == "gs://bucket/r1/temporary"
    assert google.job_name.startswith("b2brecs-drop-")
    assert re.fullmatch(r"[a-z][-a-z0-9]*[a-z0-9]", google.job_name)
    assert (workers.machine_type, workers.max_num_workers, workers.use_public_ips) == ("n1-standard-2", 10, False)
    assert workers.sdk_container_image == FLOW["sdk_container_image"]
    assert {"use_runner_v2", "shuffle_mode=service"} <= set(made.view_as(views.DebugOptions).experiments)
    assert made.view_as(views.SetupOptions).save_main_session is False
    wheel = flow(sdk_container_image="", extra_packages="b2brecs.whl", temp_location="gs://other/tmp", job_name="mine")
    assert wheel.view_as(views.SetupOptions).extra_packages == ["b2brecs.whl"]
    assert wheel.view_as(views.GoogleCloudOptions).temp_location == "gs://other/tmp"
    assert wheel.view_as(views.GoogleCloudOptions).job_name == "mine"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"project": "", "region": ""}, ["options['project']", "options['region']"]),
        ({"sdk_container_image": ""}, ["no b2brecs"]),
        ({"temp_location": "tmp"}, ["temp_location", "not a bucket"]),
        ({"machine_typ": "x"}, ["machine_typ", "no such option", "machine_type"]),
        ({"max_num_workers": "many"}, ["max_num_workers", "invalid int value"]),
    ],
)
def test_wrong_options_of_dataflow_are_named(changes, words):
    with pytest.raises(ConfigError) as caught:
        flow(**changes)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_what_workers_elsewhere_cannot_reach_is_named():
    kept = connect("x", password=Secret("keyring:shop"))
    with pytest.raises(ConfigError) as caught:
        pipeline_options(FLOW, folder="/home/me/files", table="t", connection=kept)
    assert "cannot write to this machine" in str(caught.value)
    assert "connection 'shop'.password = keyring:shop" in str(caught.value)
    assert pipeline_options({}, folder="/home/me/files", table="t", connection=kept)
    # What a job server takes is known to it alone.
    options = {"runner": "FlinkRunner", "flink_master": "host:8081", "parallelism": "4"}
    assert pipeline_options(options, folder="gs://b/f", table="t", connection=connect("x"))
    with pytest.raises(ConfigError, match="direct_num_worker"):
        pipeline_options({"direct_num_worker": "2"}, folder="f", table="t", connection=connect("x"))


def unpacked(data):
    """Return bytes with all that Beam has packed into them."""
    found = [data]
    for text in re.findall(rb"[A-Za-z0-9+/=]{40,}", data):
        for inflate in (zlib.decompress, bz2.decompress):
            with suppress(Exception):
                found.append(inflate(base64.b64decode(text)))
    return b"\n".join(found)


def test_no_secret_is_in_the_pipeline_or_its_options(monkeypatch, tmp_path):
    """The pipeline is that which would be sent to Dataflow, to the last step before."""
    import apache_beam as beam
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    from b2brecs.etl.beam_worker import Way

    monkeypatch.setenv("SHOP", PASSWORD)
    connection = connect("x", password=Secret("env:SHOP"))
    made = flow(dry_run="true")
    pipeline = engine.build(connection, TABLE, pieces(3), "gs://bucket/r1", Way(url="gcp://acme-shop/eu"), made)
    sent = unpacked(pipeline.to_runner_api().SerializeToString())
    assert b"env:SHOP" in sent
    assert b"gcp://acme-shop/eu" in sent
    assert PASSWORD.encode() not in sent
    assert PASSWORD.encode() not in pickle.dumps(made) + json.dumps(made.get_all_options(), default=str).encode()
    assert isinstance(pipeline.runner, DataflowRunner)
    assert isinstance(pipeline, beam.Pipeline)
    assert pipeline.run().state == "DONE"
