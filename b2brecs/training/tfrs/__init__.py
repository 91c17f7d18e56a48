"""The two-tower model; the only place that loads TensorFlow."""
