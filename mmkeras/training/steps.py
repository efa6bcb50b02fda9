"""Training steps that take the place of Keras' own: `task.compile(step=...)`."""

import numbers

import keras

from mmkeras.training.step import Step


@keras.saving.register_keras_serializable(package="mmkeras")
class GradientCache(Step):
    """Train on batches larger than memory allows, with exactly the gradients of the whole batch.

    Use it where the batch is the question, as in contrastive learning: summing the gradients of small batches
    (`gradient_accumulation_steps` of an optimizer) asks easier ones. A batch passes twice, in micro-batches:

        outputs  = [task(x_k) for each micro-batch x_k]                     without gradients
        g_k      = d compute_loss(x, y, outputs) / d outputs_k              on the whole batch
        gradient = d loss / d weights + sum over k of  g_k * d task(x_k) / d weights

    with the same random draws in both passes. Memory holds the activations of one micro-batch and the outputs of all;
    the price is a second forward pass. A batch that fits into one micro-batch is trained on as without.

    Any `Task` will do whose samples pass it one by one: a layer that updates batch statistics, or has a loss on its
    activations (`activity_regularizer`), is an error. Random layers draw from a `keras.random.SeedGenerator` of their
    own, as those of Keras do. On TensorFlow XLA cannot compile the step: `jit_compile=False`.

    Args:
        micro_batch: how many samples pass the task at once; with several replicas, on each.

    Example:

    >>> task = mm.models.MultimodalClassifier({"features": mm.encoders.features((4,))}, classes=2)
    >>> task.compile(step=mm.training.GradientCache(micro_batch=2))
    >>> history = task.fit({"features": np.ones((7, 4))}, np.ones(7), batch_size=7, verbose=0)
    >>> int(task.optimizer.iterations)
    1

    References:
        Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup.
    """

    def __init__(self, micro_batch: int):
        if not isinstance(micro_batch, numbers.Integral) or isinstance(micro_batch, bool) or micro_batch < 1:
            raise ValueError(
                "`micro_batch` says how many samples pass the task at once and must be an integer of at least 1. "
                f"Received: micro_batch={micro_batch!r}"
            )
        self.micro_batch = int(micro_batch)

    def train(self, task, inner, *arguments):
        steps = {"tensorflow": _tensorflow_step, "jax": _jax_step}
        backend = keras.backend.backend()
        if backend not in steps:
            raise ValueError(f"GradientCache needs one of the backends {sorted(steps)}. Received: {backend!r}")
        rows = _leaves(arguments[-1])[0].shape[0]
        if rows is not None and rows <= self.micro_batch:
            return inner(*arguments)
        return steps[backend](task, self.micro_batch, *arguments)

    def __repr__(self):
        return f"GradientCache(micro_batch={self.micro_batch})"

    def get_config(self) -> dict:
        return {"micro_batch": self.micro_batch}


def _tensorflow_step(task, size, data):
    import tensorflow as tf

    if task.jit_compile:
        raise ValueError(
            "GradientCache loops over micro-batches of unknown number and size, which XLA cannot compile on "
            "TensorFlow. Expected compile(..., jit_compile=False). Received: jit_compile=True"
        )
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    rows = tf.shape(_leaves(x)[0])[0]
    steps = tf.maximum(1, (rows + size - 1) // size)
    moving = _moving(task)
    weights = [tf.convert_to_tensor(variable) for variable in task.trainable_variables]
    start = [tf.convert_to_tensor(variable) for variable in moving]

    def part(whole, index):
        return _map(lambda leaf: leaf[index * size : (index + 1) * size], whole)

    def forward(index, states):
        values = [*zip(task.trainable_variables, weights, strict=True), *zip(moving, states, strict=True)]
        return _forward(task, part(x, index), values, moving)

    def loop(body, *variables):
        # One by one: side by side, micro-batches would need the memory of the batch.
        return tf.while_loop(lambda index, *_: index < steps, body, variables, parallel_iterations=1)

    # The first micro-batch, outside of the loop, says what there is to keep.
    made, states = forward(0, start)
    arrays = [
        tf.TensorArray(leaf.dtype, steps, element_shape=(None, *leaf.shape[1:]), infer_shape=False).write(0, leaf)
        for leaf in _leaves(made)
    ]

    def keep(index, states, arrays):
        made, states = forward(index, states)
        return index + 1, states, [a.write(index, leaf) for a, leaf in zip(arrays, _leaves(made), strict=True)]

    _, states, arrays = loop(keep, 1, states, arrays)
    for variable, state in zip(moving, states, strict=True):
        variable.assign(state)
    kept = iter([array.concat() for array in arrays])
    y_pred = _masked(*_map(lambda _: next(kept), made))

    with tf.GradientTape() as tape:
        outputs = _floats(y_pred)
        tape.watch(outputs)
        loss = task.compute_loss(x, y, y_pred, sample_weight, training=True)
        # Keras shares the loss out among replicas, but tracks it whole.
        replicas = tf.cast(tf.distribute.get_strategy().num_replicas_in_sync, loss.dtype)
        task._loss_tracker.update_state(loss * replicas, sample_weight=rows)
        scaled = task.optimizer.scale_loss(loss)
    by_output, by_weight = tape.gradient(scaled, [outputs, task.trainable_variables])
    used = [place for place, gradient in enumerate(by_output) if gradient is not None]
    by_output = [tf.convert_to_tensor(by_output[place]) for place in used]
    reached = {place for place, gradient in enumerate(by_weight) if gradient is not None}
    totals = [
        tf.zeros_like(weight) if gradient is None else tf.convert_to_tensor(gradient)
        for weight, gradient in zip(weights, by_weight, strict=True)
    ]

    def add(index, states, totals):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            (outputs, _), states = forward(index, states)
            outputs = _floats(outputs)
        gradients = tape.gradient([outputs[i] for i in used], weights, output_gradients=part(by_output, index))
        reached.update(place for place, gradient in enumerate(gradients) if gradient is not None)
        return index + 1, states, [t if g is None else t + g for t, g in zip(totals, gradients, strict=True)]

    _, _, totals = loop(add, 0, start, totals)
    # As in Keras' own step, a weight that nothing reaches has no gradient rather than a zero, which would decay it.
    gradients = [total if place in reached else None for place, total in enumerate(totals)]
    task.optimizer.apply_gradients(zip(gradients, task.trainable_variables, strict=True))
    return task.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def _jax_step(task, size, state, data):
    import jax

    trainable, non_trainable, optimizer_variables, metrics = state
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    rows = _leaves(x)[0].shape[0]
    steps = rows // size
    moving = _moving(task)
    places = [next(i for i, v in enumerate(task.non_trainable_variables) if v is variable) for variable in moving]

    @jax.checkpoint
    def forward(trainable, states, part):
        variables = [*task.trainable_variables, *task.non_trainable_variables, *moving]
        values = zip(variables, [*trainable, *non_trainable, *states], strict=True)
        made, states = _forward(task, part, values, moving)
        return states, made

    def split(leaf):
        # Micro-batch k is every `steps`-th row from k on: of a batch spread over devices, each has its share of it.
        return leaf[: steps * size].reshape(size, steps, *leaf.shape[1:]).swapaxes(0, 1)

    def join(leaf):
        return leaf.swapaxes(0, 1).reshape(steps * size, *leaf.shape[2:])

    def loss_and_updates(trainable):
        # Only what moves is carried from one to the next: a frozen encoder stays where it is.
        states = [non_trainable[place] for place in places]
        states, made = jax.lax.scan(lambda states, part: forward(trainable, states, part), states, _map(split, x))
        made = _map(join, made)
        if rows % size:
            states, rest = forward(trainable, states, _map(lambda leaf: leaf[steps * size :], x))
            made = jax.tree.map(lambda *leaves: jax.numpy.concatenate(leaves), made, rest)
        y_pred = _masked(*made)
        moved = list(non_trainable)
        for place, value in zip(places, states, strict=True):
            moved[place] = value
        loss, (_, moved, tracked) = task.stateless_compute_loss(
            trainable, moved, metrics, x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True
        )
        with keras.StatelessScope(zip(task.optimizer.variables, optimizer_variables, strict=True)):
            scaled = task.optimizer.scale_loss(loss)
        return scaled, (loss, y_pred, moved, tracked)

    gradients, (loss, y_pred, moved, tracked) = jax.grad(loss_and_updates, has_aux=True)(trainable)
    trainable, optimizer_variables = task.optimizer.stateless_apply(optimizer_variables, gradients, trainable)
    with keras.StatelessScope(zip(task.metrics_variables, tracked, strict=True)) as scope:
        task._loss_tracker.update_state(loss, sample_weight=rows)
        logs = task.compute_metrics(x, y, y_pred, sample_weight)
    metrics = [scope.get_current_value(variable) for variable in task.metrics_variables]
    return logs, (trainable, moved, optimizer_variables, metrics)


def _forward(task, x, values, moving):
    """Call the task with these values of its variables.

    Returns:
        Its outputs and their masks, two equal structures, and the new values of the `moving` variables.
    """
    with keras.StatelessScope(values, collect_losses=True) as scope:
        before = dict(scope.state_mapping)
        y_pred = task(x, training=True)
        if scope.losses:
            _refuse_losses(task, scope.losses)
    changed = {key for key, value in scope.state_mapping.items() if before.get(key) is not value}
    changed -= {id(variable) for variable in moving}
    if changed:
        _refuse_changes([variable.path for variable in task.variables if id(variable) in changed])
    return (y_pred, keras.tree.map_structure(_mask_of, y_pred)), [scope.get_current_value(v) for v in moving]


def _refuse_losses(task, losses):
    layers = task._flatten_layers()
    owners = [layer for layer in layers if any(own is loss for own in layer.losses for loss in losses)]
    innermost = min(owners, key=lambda layer: len(layer._flatten_layers()))
    raise ValueError(
        "GradientCache needs a loss that depends on the outputs of the task and on its weights, not on activations "
        f"inside. Expected no `activity_regularizer` and no `add_loss` in the layer {innermost.name!r}: remove it, or "
        "make what it reads an output of the task and add the term in `compute_loss`. "
        f"Received: {len(losses)} such losses"
    )


def _refuse_changes(paths):
    raise ValueError(
        "GradientCache needs samples that pass the task one by one: with batch statistics, micro-batches do not add up "
        "to the batch. Build the encoder with frozen_statistics=True or normalization='group', or set `trainable = "
        "False` on those layers; draw random numbers from a keras.random.SeedGenerator that the layer holds. Received: "
        + (f"a task that updates {paths[0]!r} and {len(paths) - 1} more" if paths else "an update outside the task")
    )


def _mask_of(x):
    # A layer, as Keras keeps masks in its own ways: on JAX a tensor cannot carry one.
    return keras.layers.Lambda(lambda x, mask=None: mask, mask=lambda *_: None, autocast=False, name="mask_of")(x)


def _masked(outputs, masks):
    layer = keras.layers.Lambda(lambda pair: pair[0], mask=lambda pair, _: pair[1], autocast=False, name="with_mask")
    return keras.tree.map_structure(lambda x, mask: x if mask is None else layer([x, mask]), outputs, masks)


def _moving(task):
    """What a forward pass moves on: the states of seed generators."""
    weights = {id(variable) for variable in task.weights}
    return [variable for variable in task.non_trainable_variables if id(variable) not in weights]


def _map(function, structure):
    return keras.tree.map_structure(lambda leaf: None if leaf is None else function(leaf), structure)


def _leaves(structure):
    return [leaf for leaf in keras.tree.flatten(structure) if leaf is not None]


def _floats(outputs):
    return [leaf for leaf in keras.tree.flatten(outputs) if keras.backend.is_float_dtype(leaf.dtype)]
