"""The base of training steps, and what they share."""

import keras


class Step:
    """Base of training steps: what `task.compile(step=...)` takes, alone or as a list.

    A subclass defines `train(task, inner, *arguments)`: it does its work around `inner(*arguments)`, Keras' own step
    or the next one of the list, and returns what that returned: logs on TensorFlow, logs and the new state on JAX,
    where the arguments are the state and the batch.
    """

    def around(self, task, inner):
        """This step around another one, as a function of the arguments."""
        return lambda *arguments: self.train(task, inner, *arguments)

    def train(self, task, inner, *arguments):
        """Train on a batch."""
        raise NotImplementedError(f"{type(self).__name__} must define `train`.")

    def get_config(self) -> dict:
        """Return the arguments, as a saved task holds them."""
        return {}

    @classmethod
    def from_config(cls, config: dict):
        return cls(**config)


def scaled_update(task, inner, arguments, factors):
    """Train, and let each weight go only a part of its way: a learning rate of its own, whatever the optimizer.

    Args:
        task: the task.
        inner: function of the arguments that trains.
        arguments: those of a training step.
        factors: list with a number or a scalar for each trainable variable, None for 1.

    Returns:
        What `inner` returned, on JAX with the weights moved back.
    """
    _check_optimizer(task)
    variables = task.trainable_variables
    if keras.backend.backend() == "jax":
        before = arguments[0][0]
        logs, (trainable, *rest) = inner(*arguments)
        trainable = [
            new if factor is None else old + (new - old) * keras.ops.cast(factor, new.dtype)
            for old, new, factor in zip(before, trainable, factors, strict=True)
        ]
        return logs, (trainable, *rest)
    before = [
        None if factor is None else keras.ops.copy(variable.value)
        for variable, factor in zip(variables, factors, strict=True)
    ]
    made = inner(*arguments)
    for variable, old, factor in zip(variables, before, factors, strict=True):
        if factor is not None:
            variable.assign(old + (variable.value - old) * keras.ops.cast(factor, variable.dtype))
    return made


def with_loss(task, loss, inner, arguments):
    """Train on another loss than the task's own, which knows `loss(own, x, y, y_pred, sample_weight, training)`."""
    own, outer = task.compute_loss, task.__dict__.get("compute_loss")

    def compute_loss(x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return loss(own, x, y, y_pred, sample_weight, training)

    # It belongs to this step alone, and Keras' own asks the task for it.
    task.__dict__["compute_loss"] = compute_loss
    try:
        return inner(*arguments)
    finally:
        del task.__dict__["compute_loss"]
        if outer is not None:
            task.__dict__["compute_loss"] = outer


def weights_of_encoders(task):
    """Dict of sets of ids of the trainable variables by modality; what two encoders share belongs to neither."""
    owned = {name: {id(v) for v in encoder.trainable_variables} for name, encoder in task.encoders.items()}
    seen = [key for keys in owned.values() for key in keys]
    return {name: {key for key in keys if seen.count(key) == 1} for name, keys in owned.items()}


def _check_optimizer(task):
    if task.optimizer.use_ema:
        raise ValueError(
            "Averaged weights would average what was never reached: compile with an optimizer without `use_ema`, or "
            f"without this step. Received: {task.optimizer!r}"
        )
    if getattr(task, "distribute_strategy", None) is not None and task.distribute_strategy.num_replicas_in_sync > 1:
        raise ValueError(
            "This step moves weights after the optimizer, which several replicas under tf.distribute cannot. Received: "
            f"{task.distribute_strategy.num_replicas_in_sync} replicas"
        )
