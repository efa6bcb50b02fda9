"""What does it cost to say a sentence, and what does it cost elsewhere?

python benchmarks/generate.py --torch PYTHON

An LSTM with additive attention over 49 tokens says 20 words of 5,000, greedily and by beams of 4, for 1, 8 and 64
contexts at once. The whole loop is one layer of a model here (`mm.generation.Decode`), run by `predict_on_batch`, as a
plain graph and compiled by XLA. Its peers say the same words by the same weights:

- `predict`: a Keras model of one step, `model.predict` for each word;
- `function`: the same step in a `tf.function`, called for each word;
- `hub`: the samplers of keras-hub driving the same decoder, in a `tf.function`, plain and by XLA;
- `torch`: the same decoder in PyTorch, a Python loop over its step, plain and under `torch.compile`.

PyTorch runs in a process of its own, with the interpreter given by `--torch`, and is asked and answers through a pipe;
it is left out without one. All take turns in one run.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import keras
import keras_hub
import numpy as np
import tensorflow as tf

import mmkeras as mm

SIZES = {"vocabulary": 5000, "units": 256, "dim": 256, "context_dim": 256, "start_id": 2, "length": 20}
END_ID, KEYS, BEAMS, BATCHES = 3, 49, 4, (1, 8, 64)


class Torch:
    """The decoder in a process of PyTorch."""

    def __init__(self, python, decoder, contexts, sizes):
        names = {
            "_embedding": ("embedding", ("weight",)),
            "_query": ("query", ("weight",)),
            "_key": ("key", ("weight", "bias")),
            "_score": ("score", ("weight",)),
            "_output": ("output", ("weight", "bias")),
            "_words": ("words", ("weight", "bias")),
        }
        arrays = {f"context_{len(context)}": context for context in contexts}
        for attribute, (name, parts) in names.items():
            for part, value in zip(parts, getattr(decoder, attribute).get_weights(), strict=True):
                arrays[f"{name}.{part}"] = value.T if part == "weight" and name != "embedding" else value
        arrays["start.weight"], arrays["start.bias"] = (value.T for value in decoder._starts[0].get_weights())
        kernel, recurrent, bias = decoder._layers_of_time[0].get_weights()
        arrays |= {"cell.weight_ih": kernel.T, "cell.weight_hh": recurrent.T, "cell.bias_ih": bias}
        arrays["cell.bias_hh"] = np.zeros_like(bias)
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder, "weights.npz"), **arrays)
            command = [python, Path(__file__).with_name("generate_peer.py"), Path(folder, "weights.npz")]
            self._process = subprocess.Popen(
                [*command, json.dumps(sizes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self.version = self._answer()["torch"]

    def runner(self, search, step):
        """A function from contexts, those given at the start, to token ids."""

        def run(context):
            asked = {"search": search, "step": step, "batch": str(len(context))}
            print(json.dumps(asked), file=self._process.stdin, flush=True)
            return np.asarray(self._answer()["ids"])

        return run

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            sys.exit("The process of PyTorch ended: see above.")
        return json.loads(line)

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def make_decoder(sizes):
    decoder = mm.layers.LSTMDecoder(sizes["vocabulary"], sizes["units"], dim=sizes["dim"], attention="additive")
    decoder.build((None, None), (None, None, sizes["context_dim"]))
    # As if trained: words differ, and padding and the end mark are never said, so that all say the same.
    rng = np.random.default_rng(0)
    decoder.set_weights([rng.normal(0, value.shape[0] ** -0.5, value.shape) for value in decoder.get_weights()])
    kernel, bias = decoder._words.get_weights()
    bias[[0, END_ID]] = -1e9
    decoder._words.set_weights([4 * kernel, bias])
    return decoder


def ours(decoder, strategy, sizes, *, xla):
    """A function from contexts to token ids, one model."""
    context = keras.Input((KEYS, sizes["context_dim"]))
    layer = mm.generation.Decode(
        decoder,
        strategy,
        start_id=sizes["start_id"],
        end_id=END_ID,
        max_length=sizes["length"],
        min_length=sizes["length"] - 1,
    )
    model = keras.Model(context, layer(context))
    model.compile(jit_compile=xla)
    return lambda context: model.predict_on_batch(context)["token_ids"][:, 0]


def by_hub(decoder, sampler, sizes, beams, *, xla):
    """The same by a sampler of keras-hub."""

    @tf.function(jit_compile=xla)
    def say(context):
        memory = decoder.remember(context)
        state = decoder.initial_state(memory, sizes["length"])
        # What is only read is repeated once, outside of what the sampler carries from word to word.
        memory = keras.tree.map_structure(lambda x: keras.ops.repeat(x, beams, axis=0), memory)
        start = keras.ops.full((context.shape[0], 1), sizes["start_id"], dtype="int32")
        prompt = keras.ops.concatenate([start, keras.ops.zeros((context.shape[0], sizes["length"]), "int32")], axis=1)

        def following(prompt, cache, index):
            logits, cache = decoder.step(keras.ops.take(prompt, index - 1, axis=1), index - 1, cache, memory)
            return logits, None, cache

        return sampler(following, prompt, cache=state, index=1, stop_token_ids=(END_ID,))[:, 1:]

    return lambda context: say(tf.constant(context)).numpy()


def step_by_step(decoder, sizes):
    """The same by a Keras model of one step, and by a `tf.function` of it: two functions."""
    units = sizes["units"]
    # What the decoder remembers of a context is made once, as everywhere.
    shapes = {"context": (KEYS, sizes["context_dim"]), "key": (KEYS, units), "hidden": (units,), "cell": (units,)}
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    inputs["token"] = keras.Input((), dtype="int32", name="token")

    class Step(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.decoder = decoder

        def call(self, context, key, hidden, cell, token):
            memory = {"tokens": context, "key": key, "mask": keras.ops.ones_like(context[..., 0], dtype="bool")}
            state = {"layers": [[hidden, cell]], "attention": keras.ops.zeros_like(memory["mask"], dtype="float32")}
            logits, state = self.decoder.step(token, 0, state, memory)
            return logits, *state["layers"][0]

        def compute_output_spec(self, context, key, hidden, cell, token):
            logits = keras.KerasTensor((None, sizes["vocabulary"]))
            return logits, keras.KerasTensor((None, units)), keras.KerasTensor((None, units))

    model = keras.Model(inputs, Step()(**inputs))

    @tf.function
    def step(token, state, memory):
        logits, state = decoder.step(token, 0, state, memory)
        return tf.argmax(logits, axis=-1, output_type=tf.int32), state

    @tf.function
    def begin(context):
        memory = decoder.remember(context)
        return memory, decoder.initial_state(memory, sizes["length"])

    def by_predict(context):
        memory, state = begin(tf.constant(context))
        key, hidden, cell = (x.numpy() for x in (memory["key"], *state["layers"][0]))
        token, said = np.full(len(context), sizes["start_id"], "int32"), []
        for _ in range(sizes["length"]):
            x = {"context": context, "key": key, "hidden": hidden, "cell": cell, "token": token}
            logits, hidden, cell = model.predict(x, verbose=0, batch_size=len(context))
            token = logits.argmax(axis=-1).astype("int32")
            said.append(token)
        return np.stack(said, axis=1)

    def by_function(context):
        memory, state = begin(tf.constant(context))
        token, said = tf.fill([len(context)], sizes["start_id"]), []
        for _ in range(sizes["length"]):
            token, state = step(token, state, memory)
            said.append(token)
        return tf.stack(said, axis=1).numpy()

    return by_predict, by_function


def compared(search, context, sides, peers, pairs):
    """Time each side here against each peer, once all are known to say the same."""
    said = {name: run(context) for name, run in (sides | peers).items()}
    for name, ids in said.items():
        same = np.mean(np.all(ids == said["graph"], axis=1))
        # Rounding may turn a word where two are as likely.
        if same < 0.95:
            sys.exit(f"{name} says something else, {search}, {len(context)} at once: {same:.0%} of sentences are equal")
    results, rows = {}, []
    for side, ours in sides.items():
        for name, peer in peers.items():
            timing = common.interleaved(lambda ours=ours: ours(context), lambda peer=peer: peer(context), pairs)
            key = f"{search}_{len(context)}_{side}"
            results.setdefault(f"{key}_ms", 1e3 * timing.first)
            for suffix, value in (("", timing.ratio), ("_low", timing.low), ("_high", timing.high)):
                results[f"{key}_ratio_vs_{name}{suffix}"] = value
            cells = (f"{1e3 * timing.first:.2f}", f"{1e3 * timing.second:.2f}", f"{timing.ratio:.3f}")
            rows.append((search, len(context), side, name, *cells, f"{timing.low:.3f} to {timing.high:.3f}"))
            print(" ".join(map(str, rows[-1])), flush=True)
    return results, rows


def measured(sizes, batches, pairs, python):
    decoder = make_decoder(sizes)
    rng = np.random.default_rng(1)
    contexts = [rng.normal(size=(batch, KEYS, sizes["context_dim"])).astype("float32") for batch in batches]
    torch = Torch(python, decoder, contexts, sizes) if python else None
    by_predict, by_function = step_by_step(decoder, sizes)
    results, rows = {}, []
    for search, strategy, sampler, beams in (
        ("greedy", mm.generation.Greedy(), keras_hub.samplers.GreedySampler(), 1),
        ("beam", mm.generation.Beam(BEAMS), keras_hub.samplers.BeamSampler(BEAMS), BEAMS),
    ):
        sides = {side: ours(decoder, strategy, sizes, xla=side == "xla") for side in ("graph", "xla")}
        peers = {f"hub_{side}": by_hub(decoder, sampler, sizes, beams, xla=side == "xla") for side in sides}
        if search == "greedy":
            peers |= {"predict": by_predict, "function": by_function}
        if torch:
            peers |= {f"torch_{step}": torch.runner(search, step) for step in ("loop", "compiled")}
        for context in contexts:
            found, lines = compared(search, context, sides, peers, pairs)
            results |= found
            rows += lines
    versions = common.versions() | ({"torch": torch.version} if torch else {})
    if torch:
        torch.close()
    return results, rows, versions


def main():
    made = common.parser(__doc__.splitlines()[0], needs_data=False, pairs=30)
    made.add_argument("--torch", metavar="PYTHON", help="interpreter that has PyTorch")
    arguments = made.parse_args()
    started = time.perf_counter()
    sizes, batches, pairs = SIZES, BATCHES, arguments.pairs
    if arguments.smoke:
        sizes, batches, pairs = (
            {**SIZES, "vocabulary": 50, "units": 8, "dim": 8, "context_dim": 8, "length": 4},
            (1, 2),
            1,
        )
    results, rows, versions = measured(sizes, batches, pairs, arguments.torch)
    columns = ("search", "batch", "here", "peer", "ms", "ms of the peer", "ratio", "quartiles")
    common.show("Saying 20 words, time here / time of the peer", columns, rows)
    common.report("generate", results, arguments, started, found=versions)


if __name__ == "__main__":
    main()
