"""A clip in, a sentence out."""

import keras

from mmkeras.models.sentence_task import SentenceTask


@keras.saving.register_keras_serializable(package="mmkeras")
class VideoCaptioner(SentenceTask):
    """Describe clips in sentences: the captioner of pictures with an encoder of frames in its place.

    Train it on records with `video` and `text`. What is heard may stand beside what is seen, as a second encoder of
    `audio`. `compile()` needs no arguments.

    Args:
        encoders: a video encoder, from `frames` to tokens, or a dict of encoders by modality.
        decoder: `"lstm"` (`mm.layers.LSTMDecoder`, with additive attention), `"transformer"`, or a decoder layer.
        fusion: for several encoders, a fusion layer that keeps tokens; None takes `AttentionFusion()`.
        units: size of a decoder given by name.
        vocabulary_size: number of token ids; None takes that of the preprocessor's `text`.
        start_id: id of the start mark; None takes that of the preprocessor's `text`, without one 2.
        end_id: id of the end mark; None takes that of the preprocessor's `text`, without one 3.
        sampling_rate: probability that a word read in training is the model's own (scheduled sampling).
        optional: modalities that may be absent.
        modality_dropout_rate: probability that an optional modality is dropped from a sample in training.
        preprocessor: what turns raw records into inputs; saved with the task.

    Inputs: those of the encoders under their prepared keys, `token_ids` (batch, time) or (batch, group, time), and
    `<modality>_present` for each optional one.

    Output: dict with `text`, logits of the word after each one, (batch, time, vocabulary) or in groups.

    Example:

    >>> encoder = mm.encoders.time_distributed(mm.encoders.vgg(1, 4, image_shape=(8, 8, 3)), lstm_units=6)
    >>> task = VideoCaptioner(encoder, units=8, vocabulary_size=20)
    >>> len(task.generate(np.zeros((5, 8, 8, 3)), max_length=3)) <= 3
    True

    References:
        Venugopalan et al. 2015, Sequence to Sequence: Video to Text. Yao et al. 2015, Describing Videos by Exploiting
        Temporal Structure.
    """

    described = "video"
