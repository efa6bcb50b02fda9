"""A picture in, a sentence out."""

import keras

from mmkeras.models.sentence_task import SentenceTask


@keras.saving.register_keras_serializable(package="mmkeras")
class ImageCaptioner(SentenceTask):
    """Describe pictures in sentences.

    An image encoder, frozen or not, and a decoder that looks at its tokens while it speaks. Train it on records with
    `image` and `text`; all captions of a picture in the grouped form, `pre.dataset(..., group_by="image",
    group_size=5)`, encode the picture once. `compile()` needs no arguments; `loss=mm.losses.WordCrossEntropy(0.1)`
    smooths labels. More encoders, such as of tags or of sound, may stand beside the image.

    Args:
        encoders: an image encoder, or a dict of encoders by modality.
        decoder: `"lstm"` (`mm.layers.LSTMDecoder`, with additive attention), `"transformer"`, or a decoder layer of
            your making, such as `mm.layers.LSTMDecoder(8000, 512, attention=None)`.
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

    >>> task = ImageCaptioner(mm.encoders.vgg(2, 8, image_shape=(16, 16, 3)), units=16, vocabulary_size=30)
    >>> x = {"image": np.zeros((2, 16, 16, 3)), "token_ids": np.ones((2, 5, 7), "int32")}
    >>> task.predict(x, verbose=0)["text"].shape
    (2, 5, 7, 30)
    >>> sentence = task.generate(np.zeros((16, 16, 3)), num_beams=3, max_length=5, return_attention=True)
    >>> sentence.attention.shape == (len(sentence.words), 16)
    True

    References:
        Vinyals et al. 2015, Show and Tell. Xu et al. 2015, Show, Attend and Tell.
    """
