"""Every transform: the numbers by hand, every parameter with an effect, NULL with an answer, widths exact."""

import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pytest

from b2brecs.configs.tower import Cross, Feature, TowerFeatures
from b2brecs.configs.transforms import Buckets, Cycle, Embedding, Hashed, Scale
from b2brecs.features import SidePipeline
from b2brecs.features.engines import engine_of


def apply(transform, train, values=None):
    engine = engine_of(transform)
    state = json.loads(json.dumps(engine.fit(transform, pa.array(train))))
    return engine.apply(transform, state, pa.array(values if values is not None else train)), engine.rows(
        transform, state
    )


def test_vocabulary_is_by_frequency_then_value():
    index, rows = apply(Embedding(), ["b", "a", "c", "c", None], ["c", "a", "b"])
    assert index.tolist() == [0, 1, 2]
    assert rows == 4


def test_unknown_and_null_share_the_oov_rows():
    index, rows = apply(Embedding(oov_buckets=3), ["a"], ["x", "y", "z", None, "a"])
    assert rows == 4
    assert set(index.tolist()[:4]) <= {1, 2, 3}
    assert len(set(index.tolist()[:4])) > 1
    assert index[4] == 0


def test_every_parameter_of_the_embedding_counts():
    train = ["a", "a", "b", "c"]
    assert apply(Embedding(vocabulary_size=2), train)[0].tolist() == [0, 0, 1, 2]
    assert apply(Embedding(min_frequency=2), train)[0].tolist() == [0, 0, 1, 1]
    assert Embedding(dim=7).width() == 7


def test_numbers_and_truths_are_their_text():
    assert apply(Embedding(), [7, 7, 8], [8, 7])[0].tolist() == [1, 0]
    assert apply(Embedding(), [True, True, False], [False, True])[0].tolist() == [1, 0]


def test_hashing_is_stable_and_bounded():
    index, rows = apply(Hashed(buckets=10), [], ["a", "b", None])
    assert rows == 10
    assert index.tolist() == apply(Hashed(buckets=10), ["x"], ["a", "b", None])[0].tolist()
    assert (index < 10).all()
    assert len(set(apply(Hashed(buckets=1000), [], [str(i) for i in range(100)])[0].tolist())) > 90


def test_scale_by_hand():
    x = [1.0, 2.0, 3.0, None]
    z = apply(Scale(), x)[0]
    assert z[:, 0] == pytest.approx([-1.2247449, 0.0, 1.2247449, 0.0])
    assert apply(Scale(method="min_max"), x)[0][:, 0] == pytest.approx([-1, 0, 1, 0])
    logged = apply(Scale(method="min_max", log=True), [0.0, np.e - 1], [np.e**0.5 - 1, -5.0])[0]
    assert logged[:, 0] == pytest.approx([0.0, -1.0])


def test_a_constant_or_empty_number_is_zero():
    assert apply(Scale(), [5, 5])[0].tolist() == [[0], [0]]
    assert apply(Scale(), pa.array([None], pa.float64()))[0].tolist() == [[0]]


def test_buckets_by_hand():
    index, rows = apply(Buckets(count=4), list(range(1, 101)), [1, 26, 50, 51, 100, 1000, None])
    assert index.tolist() == [0, 1, 1, 2, 3, 3, 4]
    assert rows == 5
    assert apply(Buckets(boundaries=(10.0, 0.0)), [], [-1.0, 0.0, 9.9, 10.0])[0].tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("period", "share"),
    [("hour", 6 / 24), ("weekday", 3 / 7), ("day_of_month", 28 / 31), ("month", 1 / 12), ("quarter", 0)],
)
def test_cycles_follow_the_true_calendar(period, share):
    moment = dt.datetime(2024, 2, 29, 6, tzinfo=dt.UTC)  # a Thursday
    angles, _ = apply(Cycle(period=period), [], [moment, None])
    assert angles[0] == pytest.approx([np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)], abs=1e-6)
    assert angles[1].tolist() == [0, 0]


def test_cycles_of_plain_dates():
    assert apply(Cycle(period="hour"), [], [dt.date(2024, 2, 29)])[0].tolist() == [[0, 1]]
    assert apply(Cycle(period="month"), [], [dt.date(2024, 1, 5)])[0] == pytest.approx(np.array([[0, 1]]))


def test_a_cross_keeps_its_parts_apart():
    tower = TowerFeatures(
        features=[Feature(column="a", transforms=[Hashed()])], crosses=[Cross(columns=["a", "b"], buckets=10_000)]
    )
    columns = {"a": pa.array(["x", "xy", "x", None]), "b": pa.array(["yz", "z", "yz", None])}
    made = SidePipeline.fit(tower, columns).transform(columns)
    cross = made.arrays["a×b:cross"]
    assert cross[0] == cross[2]
    assert cross[0] != cross[1]
    assert made.width == tower.width()


def test_a_fitted_pipeline_survives_json():
    tower = TowerFeatures(
        features=[
            Feature(column="a b", transforms=[Embedding(dim=4), Embedding(dim=8)]),
            Feature(column='n"', transforms=[Scale(), Buckets(count=3)]),
        ]
    )
    columns = {"a b": pa.array(["ü", None, "z"]), 'n"': pa.array([1.5, None, 3.0])}
    fitted = SidePipeline.fit(tower, columns)
    again = SidePipeline.from_dict(json.loads(json.dumps(fitted.to_dict())))
    for name, array in fitted.transform(columns).arrays.items():
        assert again.transform(columns).arrays[name].tolist() == array.tolist()
    assert [spec.width for spec in fitted.specs()] == [4, 8, 1, 8]
    assert len({spec.name for spec in fitted.specs()}) == 4
