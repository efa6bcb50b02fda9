"""Speech in, heard, seen or both, and what was said out."""

import keras

from mmkeras.generation import CTCGreedy, ctc_beam
from mmkeras.keys import prepared_key
from mmkeras.layers import CTCHead, TimelineFusion
from mmkeras.models.branches import check_encoders, check_fusion, encode_modalities
from mmkeras.models.endpoint import Endpoint
from mmkeras.models.records import as_records, flag_empty, is_one
from mmkeras.models.sentence_parts import part_of
from mmkeras.models.task import Task

_SENTENCE = "text"


@keras.saving.register_keras_serializable(package="mmkeras")
class Transcriber(Task):
    """Write down what is said in a recording, on a face, or in a clip with both.

    Nobody has to mark where a word or character begins: each step of the time line says one of them or nothing, and
    all ways to say the sentence count (CTC). What is learned is the `text` of the records, by a `Text` part without
    marks: `mm.preprocessing.Text(split="character", mark_ends=False)`, or of words. A sentence needs at least as many
    steps as it has characters, one more for each that stands twice. `compile()` needs no arguments.

    Args:
        encoders: dict of encoders by modality, such as `audio` and `video`, with tokens in time; or one encoder, of
            `audio`.
        fusion: a fusion layer that keeps tokens; None takes `TimelineFusion()`.
        vocabulary_size: number of token ids, the blank (0) included; None takes that of the preprocessor's `text`.
        dropout_rate: share of values dropped before the answer, in training.
        optional: modalities that may be absent.
        modality_dropout_rate: probability that an optional modality is dropped from a sample in training.
        preprocessor: what turns raw records into inputs; saved with the task.

    Inputs: those of the encoders under their prepared keys, and `<modality>_present` for each optional one. To learn,
    `token_ids` (batch, time) come beside them.

    Output: dict with `text`, logits of what each step says, (batch, step, vocabulary).

    Example:

    >>> text = mm.preprocessing.Text(split="character", mark_ends=False).adapt(["one", "two"])
    >>> pre = mm.preprocessing.Preprocessor(audio=mm.preprocessing.Audio(8000, seconds=0.5), text=text)
    >>> task = Transcriber(mm.encoders.conv1d_audio(4, (16, 16)), preprocessor=pre)
    >>> isinstance(task.transcribe({"audio": np.zeros(4000)}), str)
    True

    References:
        Graves et al. 2006, Connectionist Temporal Classification. Assael et al. 2016, LipNet.
    """

    sentence = _SENTENCE

    def __init__(
        self,
        encoders,
        fusion=None,
        *,
        vocabulary_size=None,
        dropout_rate=0.0,
        optional=(),
        modality_dropout_rate=0.0,
        preprocessor=None,
        **kwargs,
    ):
        # === Layers ===
        encoders = check_encoders(encoders if isinstance(encoders, dict) else {"audio": encoders})
        if _SENTENCE in encoders:
            raise ValueError(
                f"Transcriber says {_SENTENCE!r}, so that needs no encoder. Received: encoders of {sorted(encoders)}"
            )
        part = part_of(preprocessor, _SENTENCE)
        if part is not None and (part.mark_ends or part.padding_id):
            raise ValueError(
                "Text that is transcribed has no marks, and id 0 for nothing: Text(..., mark_ends=False). "
                f"Received: {part!r}"
            )
        size = vocabulary_size or (part and part.num_tokens)
        if size is None or (part is not None and part.num_tokens > size):
            raise ValueError(
                "How many ids there are must be known: give a `preprocessor` that was adapted, or `vocabulary_size` "
                f"of at least {part.num_tokens if part else 2}. Received: vocabulary_size={vocabulary_size}"
            )
        fusion = TimelineFusion(dropout_rate=dropout_rate, name="fusion") if fusion is None else check_fusion(fusion)
        head = CTCHead(size, name=_SENTENCE)

        # === Functional model ===
        branches = encode_modalities(encoders, optional=optional, modality_dropout_rate=modality_dropout_rate)
        steps = fusion(branches.encodings, presence=branches.presence or None)
        if len(steps.shape) != 3:
            raise ValueError(f"`fusion` must keep tokens, one for each step. Received: {fusion!r}")
        logits = head(keras.layers.Dropout(dropout_rate, name="dropout")(steps))
        super().__init__(inputs=branches.inputs, outputs={_SENTENCE: logits}, **kwargs)

        # === Config ===
        self.encoders = encoders
        self.fusion = fusion
        self.vocabulary_size = vocabulary_size
        self.dropout_rate = dropout_rate
        self.optional = tuple(optional)
        self.modality_dropout_rate = modality_dropout_rate
        self._key = prepared_key(_SENTENCE, "token_ids")
        self._greedy = CTCGreedy(name="greedy")
        self._decoding = None
        self.preprocessor = preprocessor

    def default_loss(self):
        return keras.losses.CTC()

    def targets(self, x, y):
        if y is None:
            y = x.get(self._key)
        if y is None:
            raise ValueError(
                f"What is said must stand beside the inputs, as {self._key!r}, or be given as `y`. "
                f"Received: {sorted(x)}"
            )
        return {_SENTENCE: y[_SENTENCE] if isinstance(y, dict) else y}, None

    def prepare(self, records, modalities=None):
        return super().prepare(records, tuple(self.encoders) if modalities is None else modalities)

    def decoding(self):
        """A functional model that says sentences: the inputs of the task in, what `mm.generation.CTCGreedy` gives out.

        It shares all layers with the task, so it says what the task has learned last, and exports as it is.
        """
        if self._decoding is None:
            # Not an attribute that Keras would track, and save with the task.
            model = keras.Model(self.inputs, self._greedy(self.output[_SENTENCE]), name="decoding")
            self._decoding = (lambda: model,)
        return self._decoding[0]()

    def endpoints(self):
        reply = {"kind": "sentence", "name": _SENTENCE, "part": _SENTENCE}
        replies = {} if part_of(self.preprocessor, _SENTENCE) is None else {"token_ids": reply}
        return {"transcribe": Endpoint(self.decoding(), tuple(self.encoders), replies)}

    def transcribe(self, records, num_beams=1, *, num_return=1, batch_size=32):
        """Write down what is said in each record.

        Args:
            records: one record (a dict) or a list of them; for a single modality its raw values will do, one path or
                array, or a list of them.
            num_beams: 1 for the likeliest of each step, in the graph; more for a beam search over sentences, which adds
                up all ways to say one.
            num_return: with beams, how many sentences are returned of each record, as a list, the likeliest first.
            batch_size: how many records are prepared and transcribed together.

        Returns:
            A string for one record, or a list of them. Without a preprocessor, lists of token ids in place of strings.
        """
        one = is_one(records)
        records = as_records(self, records)
        if not records:
            raise ValueError("At least one record is needed. Received: an empty list")
        said = []
        for start in range(0, len(records), batch_size):
            x = self.prepare(records[start : start + batch_size])
            if set(self.encoders) <= set(self.optional):
                flag_empty(x, self.encoders, "what is said in them is not known")
            if num_beams == 1 and num_return == 1:
                model = self.decoding()
                found = model.predict_on_batch([x[tensor.name] for tensor in model.inputs])["token_ids"]
                said += [self._words(ids) for ids in keras.ops.convert_to_numpy(found).tolist()]
                continue
            logits = keras.ops.convert_to_numpy(self.predict_on_batch(x)[_SENTENCE])
            for best in ctc_beam(logits, num_beams, num_return=num_return):
                sentences = [self._words(found.token_ids) for found in best]
                said.append(sentences if num_return > 1 else sentences[0])
        return said[0] if one else said

    def get_config(self):
        return {
            **super().get_config(),
            "fusion": keras.saving.serialize_keras_object(self.fusion),
            "vocabulary_size": self.vocabulary_size,
            "dropout_rate": self.dropout_rate,
            "modality_dropout_rate": self.modality_dropout_rate,
        }

    def _words(self, ids):
        part = part_of(self.preprocessor, _SENTENCE)
        ids = [word for word in ids if word]
        return ids if part is None else part.decode(ids)
