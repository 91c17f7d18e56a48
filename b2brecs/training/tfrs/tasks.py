"""The retrieval task: in-batch sampled softmax on sub-batches."""

from __future__ import annotations

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras


class SubBatchRetrieval(keras.layers.Layer, tfrs.tasks.base.Task):  # type: ignore[misc]
    """Softmax cross-entropy of the bought product against the other products of its sub-batch, mean reduced.

    ``tfrs.tasks.Retrieval`` compares with the whole batch: its cost grows with the square of the batch. Here a
    batch is cut into sub-batches of ``negatives + 1`` rows, each row having ``negatives`` negatives.

    Parameters
    ----------
    negatives
        Negatives of each row; at most the batch size − 1 are used.
    temperature
        Scores are divided by it.
    log_q
        Subtract ln of each product's sampling probability (Yi et al. 2019, "Sampling-bias-corrected neural
        modeling"), so that popular products are not punished for being frequent negatives.
    remove_accidental_hits
        A negative that is the row's own product, or that was bought in the row's own order (the same
        ``query_ids``), does not count.
    """

    def __init__(
        self,
        *,
        negatives: int = 511,
        temperature: float = 1.0,
        log_q: bool = True,
        remove_accidental_hits: bool = True,
    ) -> None:
        super().__init__(name="retrieval")
        self.size = negatives + 1
        self.temperature = temperature
        self.log_q = log_q
        self.remove_accidental_hits = remove_accidental_hits

    def call(
        self,
        query_embeddings: tf.Tensor,
        candidate_embeddings: tf.Tensor,
        *,
        candidate_ids: tf.Tensor,
        query_ids: tf.Tensor,
        sampling_probability: tf.Tensor,
    ) -> tf.Tensor:
        """Return the mean loss over rows.

        Parameters
        ----------
        query_embeddings, candidate_embeddings
            Vectors of the batch's buyers and products, row by row.
        candidate_ids
            Product of each row.
        query_ids
            Buyer state of each row: rows of one order share it.
        sampling_probability
            Share of each row's product among all training lines.
        """
        rows = tf.shape(query_embeddings)[0]
        size = tf.minimum(self.size, rows)
        count = rows // size
        used = count * size
        dim = query_embeddings.shape[1]
        query = tf.reshape(query_embeddings[:used], [count, size, dim])
        candidate = tf.reshape(candidate_embeddings[:used], [count, size, dim])
        ids = tf.reshape(candidate_ids[:used], [count, size])
        logits = tf.matmul(query, candidate, transpose_b=True) / self.temperature
        if self.log_q:
            probability = tf.reshape(sampling_probability[:used], [count, 1, size])
            logits -= tf.math.log(tf.maximum(probability, 1e-12))
        if self.remove_accidental_hits:
            states = tf.reshape(query_ids[:used], [count, size])
            same = tf.equal(ids[:, :, None], ids[:, None, :]) | tf.equal(states[:, :, None], states[:, None, :])
            others = tf.logical_and(same, tf.logical_not(tf.eye(size, dtype=tf.bool)[None]))
            logits = tf.where(others, tf.constant(-1e9, logits.dtype), logits)
        own = tf.linalg.diag_part(logits)
        return tf.reduce_mean(tf.reduce_logsumexp(logits, axis=2) - own)
