"""What tasks have in common that say sentences: captions, translations, summaries."""

import keras
import numpy as np

from mmkeras.generation import Beam, Decode, Greedy, Strategy
from mmkeras.keys import prepared_key
from mmkeras.layers import AttentionFusion, MatchRows, OwnWords
from mmkeras.losses import WordCrossEntropy
from mmkeras.metrics import Perplexity
from mmkeras.models.branches import check_encoders, check_fusion, encode_modalities
from mmkeras.models.endpoint import Endpoint
from mmkeras.models.records import as_record, as_records, flag_empty, is_one
from mmkeras.models.sentence_parts import Sentence, check_sizes, make_decoder, part_of, placed
from mmkeras.models.task import Task


class SentenceTask(Task):
    """Base of the tasks that say a sentence about other modalities: encoders, a decoder, and the loop in the graph.

    It is trained on its sentences as inputs: the word after each one is the target, and padding counts nothing. A
    subclass says which modality is `described`, where there is one encoder, and which is the `sentence`. Where an
    encoder gives a fixed number of tokens, as of a picture, each gets a learned vector for its place.

    Args:
        encoders: an encoder of the modality that is described, or a dict of encoders by modality.
        decoder: `"lstm"`, `"transformer"`, or a `mm.layers.Decoder`.
        fusion: for several encoders, a fusion layer that keeps tokens; None takes `AttentionFusion()`.
        units: size of a decoder given by name.
        vocabulary_size: number of token ids; None takes that of the preprocessor's part.
        start_id: id of the start mark; None takes that of the preprocessor's part, without one 2.
        end_id: id of the end mark; None takes that of the preprocessor's part, without one 3.
        sampling_rate: probability that a word read in training is the model's own, see `mm.layers.OwnWords`.
        optional: modalities that may be absent.
        modality_dropout_rate: probability that an optional modality is dropped from a sample in training.
        preprocessor: what turns raw records into inputs; saved with the task.
    """

    described = "image"
    sentence = "text"

    def __init__(
        self,
        encoders,
        decoder="lstm",
        *,
        fusion=None,
        units=256,
        vocabulary_size=None,
        start_id=None,
        end_id=None,
        sampling_rate=0.0,
        optional=(),
        modality_dropout_rate=0.0,
        preprocessor=None,
        **kwargs,
    ):
        # === Layers ===
        encoders = check_encoders(encoders if isinstance(encoders, dict) else {self.described: encoders})
        fusion = check_fusion(fusion)
        sentence = self.sentence
        if sentence in encoders:
            raise ValueError(
                f"{type(self).__name__} says {sentence!r}, so that needs no encoder: leave it out of `encoders`. "
                f"Received: encoders of {sorted(encoders)}"
            )
        if len(encoders) > 1 and fusion is None:
            fusion = AttentionFusion(name="fusion")
        part = part_of(preprocessor, sentence)
        known = (None, 2, 3) if part is None else (part.num_tokens, part.start_id, part.end_id)
        size, start_id, end_id = (
            own if given is None else int(given)
            for given, own in zip((vocabulary_size, start_id, end_id), known, strict=True)
        )
        decoder = make_decoder(decoder, size, units)
        check_sizes(decoder, part, sentence, start_id, end_id)
        own_words = OwnWords(decoder, sampling_rate, name="own_words") if sampling_rate else None

        # === Functional model ===
        branches = encode_modalities(encoders, optional=optional, modality_dropout_rate=modality_dropout_rate)
        key = prepared_key(sentence, "token_ids")
        token_ids = keras.Input((None,), dtype="int32", name=key)
        encodings = {name: placed(x, name) for name, x in branches.encodings.items()}
        if fusion is None:
            (context,) = encodings.values()
        else:
            context = fusion(encodings, presence=branches.presence or None)
        matched = MatchRows(name="context_of_sentence")([context, token_ids])
        read = token_ids if own_words is None else own_words(token_ids, matched)
        super().__init__(inputs=[*branches.inputs, token_ids], outputs={sentence: decoder(read, matched)}, **kwargs)

        # === Config ===
        self.encoders = encoders
        self.decoder = decoder
        self.fusion = fusion
        self.units = units
        self.vocabulary_size = vocabulary_size
        self.start_id = start_id
        self.end_id = end_id
        self.sampling_rate = sampling_rate
        self.optional = tuple(optional)
        self.modality_dropout_rate = modality_dropout_rate
        self._own_words = own_words
        self._context = context
        self._key = key
        self._models = _Models()
        self.preprocessor = preprocessor

    def compile(self, *args, **kwargs):
        super().compile(*args, **kwargs)
        # What was compiled before may have been traced without layers or weights that are there now.
        self._models = _Models()

    def default_loss(self):
        return WordCrossEntropy()

    def default_metrics(self):
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy"), Perplexity()]

    def targets(self, x, y):
        ids = keras.ops.cast(x[self._key], "int32")
        following = keras.ops.concatenate([ids[..., 1:], keras.ops.zeros_like(ids[..., :1])], axis=-1)
        return {self.sentence: following}, {self.sentence: keras.ops.cast(following > 0, "float32")}

    def grouped_outputs(self, groups):
        if set(groups) - {self.sentence}:
            return super().grouped_outputs(groups)
        return dict.fromkeys(self.output, *groups.values()) if groups else {}

    def decoding(self, strategy, **options):
        """A functional model that says sentences: the inputs of the encoders in, what `Decode` gives out.

        It shares all layers with the task, so it says what the task has learned last. `prefix_ids` and, for `Sample`,
        `noise` are inputs too.

        Args:
            strategy: a strategy of `mm.generation`.
            **options: `max_length` and whatever else `mm.generation.Decode` takes.

        Returns:
            The model, the same one for the same arguments.
        """
        if not isinstance(strategy, Strategy):
            raise ValueError(
                "`strategy` must be a strategy of mm.generation, such as Beam(3) or Sample(top_p=0.9). "
                f"Received: strategy={strategy!r}"
            )
        options = {"forbidden_ids": self._unsayable(), **options}
        known = (type(strategy), repr((strategy.get_config(), sorted(options.items()))))
        if known not in self._models.by_options:
            layer = Decode(self.decoder, strategy, start_id=self.start_id, end_id=self.end_id, name="decode", **options)
            length = options["max_length"]
            prefix_ids = keras.Input((length,), dtype="int32", name="prefix_ids")
            noise = keras.Input((strategy.num_return, length), name="noise") if strategy.draws else None
            sources = [tensor for tensor in self.inputs if tensor.name != self._key]
            outputs = layer(self._context, prefix_ids, noise)
            sources += [prefix_ids] if noise is None else [prefix_ids, noise]
            self._models.by_options[known] = keras.Model(sources, outputs, name="decoding")
        return self._models.by_options[known]

    def endpoints(self, num_beams=3, **options):
        """What the task can be asked where it is served: `generate`, greedily, and `beam`.

        Args:
            num_beams: how many beginnings the latter keeps, and how many sentences it gives.
            **options: `max_length` and whatever else `mm.generation.Decode` takes.
        """
        options = {**options, "max_length": self._max_length(options.get("max_length"))}
        part = part_of(self.preprocessor, self.sentence)
        reply = {"kind": "sentence", "name": self.sentence, "part": self.sentence}
        return {
            name: Endpoint(
                self.decoding(strategy, **options),
                tuple(self.encoders),
                {} if part is None else {"token_ids": reply},
                ("prefix_ids",),
            )
            for name, strategy in (("generate", Greedy()), ("beam", Beam(num_beams, num_return=num_beams)))
        }

    def generate(
        self,
        records,
        num_beams=1,
        *,
        strategy=None,
        max_length=None,
        min_length=0,
        repetition_penalty=1.0,
        prefix="",
        seed=0,
        return_scores=False,
        return_attention=False,
        batch_size=32,
    ):
        """Say a sentence about each record.

        Args:
            records: one record (a dict) or a list of them; for a single modality its raw values will do, one path,
                string or array, or a list of them.
            num_beams: 1 for greedy search, more for beam search.
            strategy: a strategy of `mm.generation`, such as `Beam(8, num_return=3)` or `Sample(top_p=0.9)`, in place of
                `num_beams`.
            max_length: the most words of a sentence, the end mark among them; None takes the length of the
                preprocessor's part, or 30.
            min_length: the fewest words of a sentence.
            repetition_penalty: see `mm.generation.Decode`.
            prefix: what each sentence begins with, in words.
            seed: integer, for sampling.
            return_scores: whether to return `Sentence`s in place of strings.
            return_attention: the same, with what was looked at for each word.
            batch_size: how many records are prepared and described together.

        Returns:
            A string for one record, or a list of them; where the strategy returns several sentences, lists of strings.
            Without a preprocessor, lists of token ids in place of strings.
        """
        strategy = (Greedy() if num_beams == 1 else Beam(num_beams)) if strategy is None else strategy
        options = {
            "max_length": self._max_length(max_length),
            "min_length": min_length,
            "repetition_penalty": repetition_penalty,
            "return_attention": return_attention,
        }
        model = self.decoding(strategy, **options)
        one = is_one(records)
        records = as_records(self, records)
        if not records:
            raise ValueError("At least one record is needed. Received: an empty list")
        begun = self._prefix(prefix, options["max_length"])
        rng = np.random.default_rng(seed)
        told = []
        for start in range(0, len(records), batch_size):
            x = self.prepare(records[start : start + batch_size], tuple(self.encoders))
            rows = len(next(iter(x.values())))
            if set(self.encoders) <= set(self.optional):
                flag_empty(x, self.encoders, "what is said of them is what language alone expects")
            x["prefix_ids"] = np.repeat(begun[None], rows, axis=0)
            if strategy.draws:
                x["noise"] = rng.random((rows, strategy.num_return, options["max_length"]), dtype="float32")
            found = model.predict_on_batch([x[tensor.name] for tensor in model.inputs])
            found = {name: keras.ops.convert_to_numpy(value) for name, value in found.items()}
            told += [self._sentences({name: value[row] for name, value in found.items()}) for row in range(rows)]
        if not return_scores and not return_attention:
            told = [[sentence.text for sentence in sentences] for sentences in told]
        told = told if strategy.num_return > 1 else [sentences[0] for sentences in told]
        return told[0] if one else told

    def score(self, records, sentences, *, batch_size=32):
        """Log-probability of sentences by the model.

        Args:
            records: what `generate` takes.
            sentences: one sentence for each record, as a string, or as token ids with both marks.
            batch_size: how many are scored together.

        Returns:
            Array (record,), or a number for one record. Words that the vocabulary lacks count as unknown ones, and of
            a sentence that is longer than the preprocessor's part allows only its beginning counts.
        """
        one = is_one(records)
        records, sentences = ([records], [sentences]) if one else (list(records), list(sentences))
        for sentence in sentences:
            ids = None if isinstance(sentence, str) else np.asarray(sentence)
            if ids is not None and (ids.ndim != 1 or ids.dtype.kind not in "iu" or not self._are_words(ids, zero=True)):
                raise ValueError(
                    f"A sentence is a string, or a row of ids below {self.decoder.vocabulary_size}. "
                    f"Received: {sentence!r:.80}"
                )
        if len(records) != len(sentences) or not records:
            raise ValueError(
                "One sentence is needed for each record. "
                f"Received: {len(records)} records and {len(sentences)} sentences"
            )
        name = self.sentence if self.preprocessor is not None else self._key
        records = [
            {**as_record(self, record), name: sentence} for record, sentence in zip(records, sentences, strict=True)
        ]
        sums = []
        for start in range(0, len(records), batch_size):
            x = self.prepare(records[start : start + batch_size])
            logits = np.asarray(keras.ops.convert_to_numpy(self.predict_on_batch(x)[self.sentence]), "float64")
            following = np.asarray(x[self._key])[:, 1:]
            logits = logits[:, :-1] - logits[:, :-1].max(axis=-1, keepdims=True)
            logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
            each = np.take_along_axis(logits, following[..., None], axis=-1)[..., 0]
            sums.append(np.where(following > 0, each, 0.0).sum(axis=1))
        sums = np.concatenate(sums)
        return float(sums[0]) if one else sums

    def assign_sampling_rate(self, rate):
        """Let the decoder read its own words with another probability from now on, without compiling anew.

        Args:
            rate: the probability; the task must have been made with a `sampling_rate` above 0.
        """
        if self._own_words is None:
            raise ValueError(
                f"This {type(self).__name__} reads true words only: make it with `sampling_rate` above 0. "
                f"Received: rate={rate}"
            )
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"`rate` must be a probability. Received: rate={rate}")
        self._own_words.rate.assign(rate)

    @property
    def _input_modality(self):
        return {**super()._input_modality, self._key: self.sentence}

    def _keys_of(self, modality):
        return [self._key] if modality == self.sentence else super()._keys_of(modality)

    def _unsayable(self):
        """Ids that stand for no word."""
        part = part_of(self.preprocessor, self.sentence)
        ids = {0, self.start_id} if part is None else set(part.unsayable_ids)
        return tuple(sorted(ids - {self.end_id}))

    def _are_words(self, ids, *, zero=False):
        return all((0 if zero else 1) <= word < self.decoder.vocabulary_size for word in ids)

    def _max_length(self, max_length):
        part = part_of(self.preprocessor, self.sentence)
        if max_length is None:
            # The start mark is read, not said.
            return 30 if part is None or part.length is None else part.length - 1
        return int(max_length)

    def _prefix(self, prefix, length):
        ids = np.zeros(length, "int32")
        part = part_of(self.preprocessor, self.sentence)
        if isinstance(prefix, str) and prefix and part is None:
            raise ValueError(f"Words need a preprocessor: give `prefix` as token ids. Received: prefix={prefix!r}")
        if isinstance(prefix, str):
            said = part.encode(prefix).tolist() if prefix else [self.end_id]
            words = [word for word in said if word not in (0, self.start_id, self.end_id)]
            # Without its end mark it was cut.
            fits = self.end_id in said
        else:
            words = np.asarray(prefix if prefix is not None else ()).reshape(-1)
            fits = not len(words) or words.dtype.kind in "iu"
            words = words.tolist()
        if (
            not fits
            or len(words) >= length
            or not self._are_words(words)
            or set(words) & {*self._unsayable(), self.end_id}
        ):
            raise ValueError(
                f"`prefix` must be shorter than max_length={length} and hold words of the vocabulary only. "
                f"Received: prefix={prefix!r:.80}"
            )
        ids[: len(words)] = words
        return ids

    def _sentences(self, found):
        """The sentences of one sample, those that there are."""
        part = part_of(self.preprocessor, self.sentence)
        sentences = []
        for place, ids in enumerate(found["token_ids"].tolist()):
            if found["scores"][place] <= -1e8:
                continue
            said = ids[: ids.index(self.end_id) + 1] if self.end_id in ids else [word for word in ids if word]
            plain = [word for word in said if word != self.end_id]
            text = plain if part is None else part.decode(plain)
            words = said if part is None else ["[END]" if word == self.end_id else part.decode([word]) for word in said]
            attention = found["attention"][place, : len(said)] if "attention" in found else None
            sentences.append(
                Sentence(
                    text, words, float(found["scores"][place]), float(found["log_probabilities"][place]), attention
                )
            )
        return sentences

    def get_config(self):
        return {
            **super().get_config(),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "fusion": keras.saving.serialize_keras_object(self.fusion),
            "units": self.units,
            "vocabulary_size": self.vocabulary_size,
            "start_id": self.start_id,
            "end_id": self.end_id,
            "sampling_rate": self.sampling_rate,
            "modality_dropout_rate": self.modality_dropout_rate,
        }


class _Models:
    """Models that share the layers of a task and are no part of it."""

    def __init__(self):
        self.by_options = {}
