"""The grouped form: several values of a modality for one sample, such as the captions of a picture.

Encoders read one value per row. A task therefore folds (batch, group, ...) into (batch * group, ...) before them and
unfolds what comes out, so that a picture is encoded once for all its captions.
"""

from keras import ops


def fold(x):
    """(batch, group, ...) -> (batch * group, ...)."""
    return ops.reshape(x, (-1, *[size if size is not None else ops.shape(x)[2 + axis] for axis, size in
                                 enumerate(x.shape[2:])]))  # fmt: skip


def unfold(outputs, groups):
    """Give the outputs named in `groups` their group axis back: (batch * group, ...) -> (batch, group, ...)."""
    if not groups:
        return outputs
    outputs = dict(outputs)
    for name, size in groups.items():
        x = outputs[name]
        if size is None or any(other is None for other in x.shape[1:]):
            raise ValueError(
                f"The size of a group must be known, and of the output {name!r}. Received: groups of size {size}, "
                f"output of shape {tuple(x.shape)}"
            )
        outputs[name] = ops.reshape(x, (-1, size, *x.shape[1:]))
    return outputs


def repeat_rows(x, count):
    """Each row `count` times, side by side: rows for the folded form."""
    return ops.repeat(x, count, axis=0)
