from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from b2brecs.configs.layers import BatchNorm, Dense, Dropout, LayerNorm
from b2brecs.configs.model import ModelConfig
from b2brecs.features.inputs import InputSpec, SideInputs, TowerInputs
from b2brecs.training.evaluate import TWO_TOWER
from b2brecs.training.history import default_inputs
from b2brecs.training.interactions import DAY, Interactions
from b2brecs.training.quick import quick_test

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore")

AS_OF = 200 * DAY


def small(**changes: object) -> ModelConfig:
    config = ModelConfig.preset("compact").changed(batch_size=256, negatives=63, epochs=3, embedding_dim=16)
    return config.changed(**changes)


@pytest.fixture(scope="module")
def inputs(market: Interactions) -> TowerInputs:
    return default_inputs(market.before(AS_OF), AS_OF, width=8, max_length=10)


def test_dropout_is_active_in_training_only(inputs: TowerInputs) -> None:
    from b2brecs.training.tfrs.towers import build_towers

    tower, _ = build_towers(inputs.buyer.specs, inputs.product.specs, small())
    rows = {name: tf.constant(value[:40]) for name, value in inputs.buyer.arrays.items()}
    assert np.array_equal(tower(rows, training=False), tower(rows, training=False))
    assert not np.allclose(tower(rows, training=True), tower(rows, training=True))


def test_training_steps_reach_dropout_and_batch_norm(market: Interactions, inputs: TowerInputs) -> None:
    from b2brecs.training.tfrs.train import train

    layers = (Dense(units=16), BatchNorm(), Dropout(rate=0.3), LayerNorm())
    trained = train(inputs, market.before(AS_OF).item, small(buyer_layers=layers, epochs=1))
    norm = trained.model.buyer_tower.stack[1]
    assert np.abs(norm.moving_mean.numpy()).max() > 0
    rows = {name: tf.constant(value[:40]) for name, value in inputs.buyer.arrays.items()}
    batch = {
        "buyer": rows,
        "product": {"product_id": tf.zeros(40, tf.int32)},
        "state_of": tf.range(40),
        "item": tf.range(40),
        "probability": tf.fill([40], 0.1),
    }
    losses = [float(trained.model.compute_loss(batch, training=True)) for _ in range(2)]
    assert losses[0] != losses[1]


def test_the_same_seed_gives_the_same_vectors(market: Interactions, inputs: TowerInputs) -> None:
    from b2brecs.training.tfrs.train import train

    item = market.before(AS_OF).item
    first, second = train(inputs, item, small()), train(inputs, item, small())
    assert np.array_equal(first.user_vectors, second.user_vectors)
    assert first.losses == second.losses
    assert first.losses[-1] < first.losses[0]
    assert not np.array_equal(first.user_vectors, train(inputs, item, small(seed=1)).user_vectors)


def test_projection_is_linear_and_length_is_one_only_when_asked(inputs: TowerInputs) -> None:
    from b2brecs.training.tfrs.towers import build_towers

    rows = {name: tf.constant(value) for name, value in inputs.product.arrays.items()}
    _, unit = build_towers(inputs.buyer.specs, inputs.product.specs, small(normalize=True))
    _, free = build_towers(inputs.buyer.specs, inputs.product.specs, small(normalize=False))
    assert np.linalg.norm(unit(rows), axis=1) == pytest.approx(1, abs=1e-4)
    assert (free(rows).numpy() < 0).any()
    assert free.projection.activation(tf.constant(-1.0)) == -1.0


def test_a_bag_is_the_mean_without_padding_from_the_shared_table() -> None:
    from b2brecs.training.tfrs.towers import build_towers

    buyer = [InputSpec("bag", "bag", 4, 8, shared_with="id"), InputSpec("x", "dense", 0, 2)]
    tower, product = build_towers(buyer, [InputSpec("id", "index", 3, 8)], small())
    table = product.tables["id"]
    assert tower.tables["bag"] is table
    bag = tower._input(buyer[0], tf.constant([[0, 2, 3], [3, 3, 3]]))
    weights = table.embeddings.numpy()
    assert weights.shape == (4, 8)
    assert bag.numpy()[0] == pytest.approx((weights[0] + weights[2]) / 2)
    assert (bag.numpy()[1] == 0).all()
    assert tower({"bag": tf.constant([[0, 3]]), "x": tf.zeros([1, 2])}).shape == (1, 16)


def test_parameters_are_those_that_the_config_counts(inputs: TowerInputs) -> None:
    from b2brecs.training.tfrs.towers import build_towers

    config = ModelConfig.preset("standard")
    tower, _ = build_towers(inputs.buyer.specs, inputs.product.specs, config)
    tower({name: tf.constant(value[:2]) for name, value in inputs.buyer.arrays.items()})
    rows = {id(t): t for t in tower.tables.values()}.values()
    embeddings = sum(table.count_params() for table in rows)
    counted = sum(parameters for _, _, parameters in config.flow("buyer", inputs.buyer.width))
    assert tower.count_params() - embeddings == counted


def test_loss_by_hand() -> None:
    from b2brecs.training.tfrs.tasks import SubBatchRetrieval

    query = tf.constant([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
    candidate = tf.constant([[1.0, 2.0], [0.5, 1.0], [1.0, 2.0], [3.0, 0.0]])
    ids = tf.constant([7, 8, 7, 9])
    states = tf.constant([0, 1, 2, 2])
    probability = tf.constant([0.5, 0.25, 0.5, 0.25])

    def expected(size: int, *, correct: bool, remove: bool) -> float:
        losses = []
        for first in range(0, 4, size):
            for i in range(first, first + size):
                logits = []
                for j in range(first, first + size):
                    score = float(np.dot(query[i], candidate[j])) / 0.5
                    score -= np.log(probability[j]) if correct else 0.0
                    known = ids[i] == ids[j] or states[i] == states[j]
                    if i == j or not (remove and known):
                        logits.append(score)
                    if i == j:
                        own = score
                losses.append(np.log(np.exp(logits).sum()) - own)
        return float(np.mean(losses))

    for size, correct, remove in ((4, True, True), (2, False, True), (4, False, False)):
        task = SubBatchRetrieval(negatives=size - 1, temperature=0.5, log_q=correct, remove_accidental_hits=remove)
        loss = task(query, candidate, candidate_ids=ids, query_ids=states, sampling_probability=probability)
        assert float(loss) == pytest.approx(expected(size, correct=correct, remove=remove), rel=1e-5)


@pytest.mark.parametrize("name", ["adagrad", "adam", "sgd", "rmsprop", "adamw", "ftrl"])
def test_every_optimiser_trains_with_clipped_gradients(name: str, market: Interactions, inputs: TowerInputs) -> None:
    from b2brecs.training.tfrs.train import make_optimizer, train

    assert make_optimizer(name, 0.01).clipnorm == 1.0
    trained = train(inputs, market.before(AS_OF).item, small(optimizer=name, learning_rate=0.01, epochs=1))
    assert np.isfinite(trained.user_vectors).all()


def test_regularisation_enters_the_loss(inputs: TowerInputs) -> None:
    from b2brecs.training.tfrs.train import TwoTower

    model = TwoTower(inputs, small(buyer_layers=(Dense(units=8, l2=0.1),), product_layers=(Dense(units=8),)))
    model.buyer_tower({name: tf.constant(value[:2]) for name, value in inputs.buyer.arrays.items()})
    kernel = model.buyer_tower.stack[0].kernel
    assert float(sum(model.losses)) == pytest.approx(0.1 * float(tf.reduce_sum(kernel**2)))


def test_lines_of_one_order_stay_together_and_every_batch_is_full() -> None:
    from b2brecs.training.tfrs.train import batches

    rows = np.repeat(np.arange(10), 3)
    item = np.arange(30)
    found = list(batches(rows, item, 6, np.random.default_rng(0)))
    assert len(found) == 5
    assert sorted(np.concatenate([items for _, _, items in found])) == list(range(30))
    for states, state_of, items in found:
        assert len(states) == 2
        assert np.array_equal(states[state_of], rows[items])


def test_quick_test_says_what_the_two_tower_adds(market: Interactions) -> None:
    result = quick_test(market, model=small(epochs=2), samples=50)
    assert result.leaderboard[TWO_TOWER].kind == "model"
    assert "two-tower alone reaches" in result.summary
    assert len(result.losses) == 2
    assert set(result.leaderboard.two_tower_effect) == {"all", "new", "mixed_new"}


def test_inputs_that_share_a_table_must_agree(inputs: TowerInputs) -> None:
    from b2brecs.training.tfrs.towers import build_towers

    with pytest.raises(ValueError, match="differ in width"):
        build_towers([InputSpec("h", "bag", 4, 8, "id")], [InputSpec("id", "index", 3, 16)], small())
    with pytest.raises(ValueError, match="does not exist"):
        build_towers([InputSpec("h", "bag", 4, 8, "nothing")], [InputSpec("id", "index", 3, 8)], small())
    assert len(SideInputs((), {"a": np.zeros(3)})) == 3
