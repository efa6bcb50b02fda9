"""A sentence in, a sentence of another language out."""

import keras

from mmkeras.models.sentence_task import SentenceTask


@keras.saving.register_keras_serializable(package="mmkeras")
class Translator(SentenceTask):
    """Translate sentences, with a picture of what they are about where there is one.

    Train it on records with `text` and `target_text`, each with a `Text` part of its own in the preprocessor. For a
    picture beside the words give `{"text": ..., "image": ...}` and `optional=("image",)` where some have none.
    `compile()` needs no arguments.

    Args:
        encoders: a text encoder, or a dict of encoders by modality.
        decoder: `"lstm"` (`mm.layers.LSTMDecoder`, with additive attention), `"transformer"`, or a decoder layer.
        fusion: for several encoders, a fusion layer that keeps tokens; None takes `AttentionFusion()`.
        units: size of a decoder given by name.
        vocabulary_size: number of token ids said; None takes that of the preprocessor's `target_text`.
        start_id: id of the start mark; None takes that of the preprocessor's `target_text`, without one 2.
        end_id: id of the end mark; None takes that of the preprocessor's `target_text`, without one 3.
        sampling_rate: probability that a word read in training is the model's own (scheduled sampling).
        optional: modalities that may be absent.
        modality_dropout_rate: probability that an optional modality is dropped from a sample in training.
        preprocessor: what turns raw records into inputs; saved with the task.

    Inputs: those of the encoders under their prepared keys (`token_ids`, ...), `target_token_ids` (batch, time), and
    `<modality>_present` for each optional one.

    Output: dict with `target_text`, logits of the word after each one, (batch, time, vocabulary).

    Example:

    >>> task = Translator(mm.encoders.lstm(30, 8, bidirectional=True), "transformer", units=8, vocabulary_size=20)
    >>> x = {"token_ids": np.ones((2, 5), "int32"), "target_token_ids": np.ones((2, 7), "int32")}
    >>> task.predict(x, verbose=0)["target_text"].shape
    (2, 7, 20)

    References:
        Bahdanau et al. 2015, Neural Machine Translation by Jointly Learning to Align and Translate. Specia et al. 2016,
        A Shared Task on Multimodal Machine Translation.
    """

    described = "text"
    sentence = "target_text"

    def translate(self, sentences, num_beams=5, **options):
        """Translate sentences; the same as `generate`, with beams.

        Args:
            sentences: one sentence or a list of them; or records, where there are pictures too.
            num_beams: 1 for greedy search, more for beam search.
            **options: whatever else `generate` takes.

        Returns:
            A string, or a list of them.
        """
        return self.generate(sentences, num_beams, **options)
