"""Series that run side by side, fused along time."""

import inspect

import keras

from mmkeras import ops
from mmkeras.layers.align_steps import AlignSteps
from mmkeras.layers.cross_modal_attention import CrossModalAttention
from mmkeras.layers.fusion import Fusion
from mmkeras.layers.gated_fusion import GatedFusion
from mmkeras.layers.stepwise_fusion import StepwiseFusion
from mmkeras.layers.sublayers import pass_trainable_on
from mmkeras.layers.transformer_block import TransformerBlock

_CONTEXTS = ("lstm", "transformer", None)


@keras.saving.register_keras_serializable(package="mmkeras")
class TimelineFusion(Fusion):
    """Fuse series of different rates that run at the same time, such as frames and sound, step by step.

    One of them gives the time line, and its steps are kept. With `x_m` a series whose token i lies at the time
    `t_i = (i + 1/2) / rate_m`:

    1. `x_m = x_m W_m`, of one size;
    2. `x_m = x_m + attention(x_m + wave(t), x_n + wave(t))` over all other series n, each token knowing when it is, and
       seeing those within `window` of its own time;
    3. the others are brought to the steps of the time line (`AlignSteps`), and fused with it at each (`fusion`);
    4. a layer over time tells each step what stands before and after it (`context`).

    Where the series of the time line has one token only, a still picture or nothing at all, the line is as long as it
    can be and the token stands at each of its steps. A vector (batch, dim) stands at every step.

    Args:
        fusion: the fusion at each step; None takes `GatedFusion()`.
        like: the series that gives the time line, by its name (by its number for a list); None takes `"video"`, or
            else the first series.
        dim: size of the tokens; None takes the smallest size among the series, rounded up to a multiple of
            `num_heads`.
        num_heads: heads of the attention; 0 for none: a step then knows of the others what is there just then.
        window: how far a token sees the other series, to each side: seconds with `rates`, else steps of the time line;
            None for all of it.
        rates: dict (or list) of tokens per second by name; None where all series cover the same span.
        context: `"lstm"` (from both ends), `"transformer"`, None, or a layer (batch, time, dim) to (batch, time, ...).
        dropout_rate: share of values dropped before the layer over time, in training.

    Call arguments:
        encodings: list or dict of tensors (batch, time, dim), or (batch, dim).
        presence: list or dict of boolean tensors (batch,), or None.
        return_weights: whether to return the weights of the fusion too.
        return_attention_scores: whether to return, per series, where its tokens looked too: (batch, heads, time, time
            of all other series one after the other).

    Output shape: (batch, steps, dim), with the mask of the time line.

    Example:

    >>> frames, sound = ops.ones((2, 5, 8)), ops.ones((2, 20, 6))
    >>> tuple(TimelineFusion(num_heads=2)({"video": frames, "audio": sound}).shape)
    (2, 5, 6)
    """

    def __init__(
        self,
        fusion=None,
        *,
        like=None,
        dim=None,
        num_heads=4,
        window=None,
        rates=None,
        context="lstm",
        dropout_rate=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        fusion = GatedFusion(name="fusion") if fusion is None else fusion
        if not isinstance(fusion, Fusion) or isinstance(fusion, (TimelineFusion, StepwiseFusion)):
            raise ValueError(
                "`fusion` must be a fusion layer for one step, such as mm.layers.GatedFusion(). "
                f"Received: fusion={fusion!r}"
            )
        if not isinstance(context, keras.layers.Layer) and context not in _CONTEXTS:
            raise ValueError(
                f"`context` must be a layer over time or one of {_CONTEXTS}. Received: context={context!r}"
            )
        if num_heads < 0 or (window is not None and not window > 0):
            raise ValueError(
                "`num_heads` must be 0 or more and `window` a number above 0, or None. "
                f"Received: num_heads={num_heads}, window={window}"
            )
        given = rates.values() if isinstance(rates, dict) else rates or ()
        if not all(rate > 0 for rate in given):
            raise ValueError(f"`rates` must be tokens per second, above 0. Received: rates={rates}")
        self.fusion = fusion
        self.like = like
        self.dim = dim
        self.num_heads = num_heads
        self.window = window
        self.rates = rates
        self.context = context
        self.dropout_rate = dropout_rate

    def build(self, encodings_shape):
        shapes = self.build_encodings(encodings_shape)
        series = [index for index, shape in enumerate(shapes) if len(shape) == 3]
        names = self._names or list(range(len(shapes)))
        self._line = names.index(self.time_line([names[index] for index in series]))
        heads = self.num_heads or 1
        dim = self.dim or -(-min(shapes[index][-1] for index in series) // heads) * heads
        if dim % heads:
            raise ValueError(f"`dim` must be a multiple of num_heads={self.num_heads}. Received: dim={dim}")
        self._per_second = self._rates_of(shapes)
        shape = (None, None, dim)

        def of_series(make):
            return [make(index) if index in series else None for index in range(len(shapes))]

        self._projections = of_series(
            lambda index: self._sublayer(keras.layers.Dense, f"projection_{index}", (shapes[index],), dim)
        )
        self._attentions = [None] * len(shapes)
        if self.num_heads and len(series) > 1:
            self._origin = self.add_weight(
                shape=(len(shapes), dim), initializer=keras.initializers.RandomNormal(stddev=0.02), name="origin"
            )
            self._attentions = of_series(
                lambda index: self._sublayer(CrossModalAttention, f"attention_{index}", (shape, shape), self.num_heads)
            )
        sizes = [shape if index in series else own for index, own in enumerate(shapes)]
        # One series alone has nothing to be fused with.
        self._steps = self._sublayer(StepwiseFusion, "steps", (sizes,), self.fusion) if len(shapes) > 1 else None
        self._dropout = keras.layers.Dropout(self.dropout_rate, dtype=self.dtype_policy)
        self._over_time = self._context_layer(self._size_of_steps(dim, shapes))
        pass_trainable_on(self)

    def call(
        self,
        encodings,
        presence=None,
        encodings_mask=None,
        mask=None,
        training=None,
        return_weights=False,
        return_attention_scores=False,
    ):
        masks = mask if encodings_mask is None else encodings_mask
        encodings, presence, masks = self.arrange(encodings, presence, masks)
        masks = [ops.token_mask(x, own) if len(x.shape) == 3 else None for x, own in zip(encodings, masks, strict=True)]
        steps = self._steps_of(masks)
        times = [self._times(index, own, steps) for index, own in enumerate(masks)]
        tokens = [x if layer is None else layer(x) for x, layer in zip(encodings, self._projections, strict=True)]
        tokens, scores = self._exchanged(tokens, times, presence, masks, training)
        aligned = [
            x if own is None else self._on_line(index, x, own, steps)
            for index, (x, own) in enumerate(zip(tokens, masks, strict=True))
        ]
        fused, weights = self._fused(aligned, presence, training, return_weights)
        fused = self._in_context(fused, steps, training)
        extras = [self.restore(weights)] if return_weights else []
        extras += [self.restore(scores)] if return_attention_scores else []
        return (fused, *extras) if extras else fused

    def compute_mask(self, encodings, previous_mask=None):
        encodings, _, masks = self.arrange(encodings, None, previous_mask)
        # None also while the graph is built, where encoders show no masks yet: one of all steps would be kept for good.
        if all(own is None for own in masks):
            return None
        return self._steps_of(
            [ops.token_mask(x, own) if len(x.shape) == 3 else None for x, own in zip(encodings, masks, strict=True)]
        )

    def time_line(self, names):
        """Name of the series that gives the time line.

        Args:
            names: names, or numbers, of the encodings that are series.
        """
        line = self.like
        if line is None and names:
            line = "video" if "video" in names else min(names)
        if line not in names:
            raise ValueError(
                "TimelineFusion needs a series (batch, time, dim) as time line: build its encoder without `pooling`. "
                f"Received: like={self.like!r} and the series {list(names)}"
            )
        return line

    def get_config(self):
        layer = isinstance(self.context, keras.layers.Layer)
        return {
            **super().get_config(),
            "fusion": keras.saving.serialize_keras_object(self.fusion),
            "like": self.like,
            "dim": self.dim,
            "num_heads": self.num_heads,
            "window": self.window,
            "rates": self.rates,
            "context": keras.saving.serialize_keras_object(self.context) if layer else self.context,
            "dropout_rate": self.dropout_rate,
        }

    @classmethod
    def from_config(cls, config):
        made = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("fusion", "context")
            if isinstance(config[name], dict)
        }
        return cls(**{**config, **made})

    def _rates_of(self, shapes):
        """Tokens per second of each encoding, None where all cover the same span."""
        if self.rates is None:
            return None
        names = self._names or list(range(len(shapes)))
        rates = self.rates if isinstance(self.rates, dict) else dict(enumerate(self.rates))
        missing = [name for name, shape in zip(names, shapes, strict=True) if len(shape) == 3 and name not in rates]
        if missing:
            raise ValueError(f"`rates` must have a number for each series. Received: none for {missing}")
        return [rates.get(name) for name in names]

    def _sublayer(self, layer_class, name, shapes, *args):
        layer = layer_class(*args, dtype=self.dtype_policy, name=name)
        layer.build(*shapes)
        return layer

    def _size_of_steps(self, dim, shapes):
        """Size of what the fusion makes of a step."""
        if self._steps is None:
            return dim
        steps = [(1, 2, dim) if len(shape) == 3 else (1, shape[-1]) for shape in shapes]
        steps = [keras.KerasTensor(shape, self.compute_dtype) for shape in steps]
        return self._steps.compute_output_spec(steps).shape[-1]

    def _context_layer(self, dim):
        context = self.context
        if context == "lstm":
            lstm = keras.layers.LSTM(-(-dim // 2), return_sequences=True, dtype=self.dtype_policy, name="lstm")
            context = keras.layers.Bidirectional(lstm, dtype=self.dtype_policy, name="context")
        elif context == "transformer":
            heads = self.num_heads if self.num_heads and dim % self.num_heads == 0 else 1
            context = TransformerBlock(heads, dropout_rate=self.dropout_rate, dtype=self.dtype_policy, name="context")
        if context is None:
            return None
        if not context.built:
            context.build((None, None, dim))
        if context is self.context:
            made = context.compute_output_spec(keras.KerasTensor((2, 4, dim), self.compute_dtype)).shape
            if len(made) != 3 or made[1] != 4:
                raise ValueError(
                    "`context` must keep the steps it is given (return_sequences=True). Received: a layer that makes "
                    f"{tuple(made)} of (2, 4, {dim})"
                )
        return context

    def _steps_of(self, masks):
        """Which steps of the time line there are, (batch, step)."""
        line = masks[self._line]
        counts = [None if own is None else keras.ops.sum(keras.ops.cast(own, "int32"), axis=1) for own in masks]
        alone = keras.ops.less(counts[self._line], 2)
        longest = keras.ops.zeros_like(keras.ops.cast(line, "float32")[:, :1])
        for index, count in enumerate(counts):
            if count is None or index == self._line:
                continue
            if self._per_second is None:
                # It covers what the line covers: all of it, however long, unless it is a single token too.
                reach = keras.ops.where(count > 1, 1.0 * line.shape[1] if line.shape[1] else 1e9, 1.0)
            else:
                reach = keras.ops.cast(count, "float32") * (self._per_second[self._line] / self._per_second[index])
            longest = keras.ops.maximum(longest, keras.ops.cast(reach, "float32")[:, None])
        places = keras.ops.cumsum(keras.ops.ones_like(keras.ops.cast(line, "float32")), axis=1)
        covered = keras.ops.logical_or(line, places - 0.5 < longest)
        return keras.ops.where(alone[:, None], covered, line)

    def _times(self, index, mask, steps):
        """When the tokens of a series are, in steps of the time line: (batch, time)."""
        if mask is None:
            return None
        places = keras.ops.cumsum(keras.ops.ones_like(keras.ops.cast(mask, "float32")), axis=1) - 0.5
        if index == self._line:
            return places
        if self._per_second is not None:
            return places * (self._per_second[self._line] / self._per_second[index])
        count, line = (keras.ops.sum(keras.ops.cast(x, "float32"), axis=1, keepdims=True) for x in (mask, steps))
        return places * line / keras.ops.maximum(count, 1.0)

    def _exchanged(self, tokens, times, presence, masks, training):
        """Tokens that have looked at the other series, and where they looked."""
        series = [index for index, mask in enumerate(masks) if mask is not None]
        scores = [None] * len(tokens)
        if self._attentions[self._line] is None:
            return tokens, scores
        window = self.window
        if window is not None and self._per_second is not None:
            window *= self._per_second[self._line]
        dtype, dim = tokens[self._line].dtype, tokens[self._line].shape[-1]
        origin = keras.ops.convert_to_tensor(self._origin, dtype=dtype)
        waves = [None if time is None else keras.ops.cast(ops.sine_waves(time, dim), dtype) for time in times]
        there = [
            mask if flag is None or mask is None else keras.ops.logical_and(mask, ops.broadcast_flag(flag, mask))
            for mask, flag in zip(masks, presence, strict=True)
        ]
        alone = [None if mask is None else _alone(mask) for mask in masks]
        looked = list(tokens)
        for index in series:
            others = [other for other in series if other != index]
            context = keras.ops.concatenate([tokens[other] + waves[other] + origin[other] for other in others], axis=1)
            known = keras.ops.concatenate([there[other] for other in others], axis=1)
            mask = known[:, None, :]
            if window is not None:
                when = keras.ops.concatenate([times[other] for other in others], axis=1)
                near = keras.ops.abs(times[index][:, :, None] - when[:, None, :]) <= window
                # What stands alone is there all the time.
                always = keras.ops.concatenate([alone[other] for other in others], axis=1)
                near = keras.ops.logical_or(near, always[:, None, :])
                mask = keras.ops.logical_and(mask, keras.ops.logical_or(near, alone[index][:, :, None]))
            layer = self._attentions[index]
            key, value = layer.project(context, known)
            timed = tokens[index] + waves[index]
            found, scores[index] = layer.attend(timed, key, value, mask=mask[:, None], training=training)
            # When it is tells where to look, and is no part of what is there.
            looked[index] = found - waves[index]
        return looked, scores

    def _on_line(self, index, x, mask, steps):
        if index == self._line:
            # A token that stands alone stands at each step.
            return keras.ops.where(_alone(mask)[..., None], x[:, :1], x)
        rates = None if self._per_second is None else (self._per_second[index], self._per_second[self._line])
        return AlignSteps(rates).call(steps[..., None], x, like_mask=steps, tokens_mask=mask)

    def _fused(self, aligned, presence, training, return_weights):
        if self._steps is None:
            if return_weights:
                raise ValueError("One series alone has no weights to show. Received: return_weights=True")
            return aligned[0], None
        fused = self._steps(aligned, presence=presence, training=training, return_weights=return_weights)
        return fused if return_weights else (fused, None)

    def _in_context(self, fused, steps, training):
        fused = ops.zero_padding(fused, steps)
        if self._over_time is None:
            return fused
        arguments = inspect.signature(self._over_time.call).parameters
        given = {"mask": steps if self._over_time.supports_masking else None, "training": training}
        known = {name: value for name, value in given.items() if name in arguments and value is not None}
        if self.context == "transformer":
            places = keras.ops.cumsum(keras.ops.ones_like(fused[..., 0]), axis=1)
            fused = fused + keras.ops.cast(ops.sine_waves(places, fused.shape[-1]), fused.dtype)
        # A layer of the user's own may have a dtype policy of its own.
        return keras.ops.cast(self._over_time(self._dropout(fused, training=training), **known), self.compute_dtype)


def _alone(mask):
    """Whether a series has one token at most, for each of its places (batch, time)."""
    count = keras.ops.sum(keras.ops.cast(mask, "int32"), axis=1, keepdims=True)
    return keras.ops.logical_or(count < 2, keras.ops.zeros_like(mask))
