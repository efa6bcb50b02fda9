"""A picture and a question in, an answer out."""

import keras

from mmkeras.layers import ClassHead, FiLMFusion
from mmkeras.metrics import SoftAccuracy
from mmkeras.models.fusion_task import FusionTask


@keras.saving.register_keras_serializable(package="mmkeras")
class VisualQuestionAnswering(FusionTask):
    """Answer questions about pictures, out of a list of answers.

    The question modulates how the picture is read (`FiLMFusion(by="question")`); `CoAttention`, `AttentionFusion` or
    `BilinearFusion` fit the slot too. Several questions about one picture come in the grouped form,
    `question_token_ids` (batch, group, time) as `pre.dataset(..., group_by="image", group_size=8)` makes it: the
    picture is then encoded once for all of them. `compile()` needs no arguments. Where questions ask where something
    is, end the encoder of pictures in `mm.layers.PositionEmbedding`: cells do not know their place otherwise.

    Args:
        encoders: dict of encoders: `question`, and what it asks about, `image` as a rule.
        fusion: a fusion layer; None takes `FiLMFusion(by="question")`.
        answers: list of answers in the order of their numbers, such as `preprocessor["answer"].classes`.
        soft: whether targets say how far each answer holds, (batch, answers), because people disagree: then the
            probabilities are one of its own for each answer (sigmoid), and the metric is `mm.metrics.SoftAccuracy`.
            `mm.preprocessing.Label(votes=3)` makes such targets of the answers of ten people.
        hidden_dim: size of a hidden layer before the probabilities; None for none.
        dropout_rate: share of what the probabilities are made of dropped in training.
        optional: modalities that may be absent.
        modality_dropout_rate: probability that an optional modality is dropped from a sample in training.
        preprocessor: what turns raw records into inputs; saved with the task.

    Inputs: those of the encoders under their prepared keys, and `<modality>_present` for each optional one.

    Output: dict with `answer`, probabilities (batch, answers), or (batch, group, answers).

    Example:

    >>> encoders = {
    ...     "image": mm.encoders.vgg(2, 8, image_shape=(16, 16, 3)),
    ...     "question": mm.encoders.lstm(50, 16, pooling="last"),
    ... }
    >>> task = VisualQuestionAnswering(encoders, answers=["yes", "no", "red"])
    >>> x = {"image": np.zeros((4, 16, 16, 3)), "question_token_ids": np.ones((4, 3, 5), "int32")}
    >>> task.predict(x, verbose=0)["answer"].shape
    (4, 3, 3)

    References:
        Perez et al. 2018, FiLM: Visual Reasoning with a General Conditioning Layer.
    """

    _reduction = "mean_with_sample_weight"

    def __init__(
        self,
        encoders,
        fusion=None,
        *,
        answers,
        soft=False,
        hidden_dim=None,
        dropout_rate=0.0,
        optional=(),
        modality_dropout_rate=0.0,
        preprocessor=None,
        **kwargs,
    ):
        answers = list(answers)
        if len(answers) < 2 or len(set(answers)) < len(answers):
            raise ValueError(f"`answers` must be a list of at least two different ones. Received: {answers!r:.200}")
        if not isinstance(encoders, dict) or "question" not in encoders or len(encoders) < 2:
            raise ValueError(
                "`encoders` must be a dict with 'question' and what the question is about, such as 'image'. "
                f"Received: encoders={encoders}"
            )
        head = ClassHead(answers, multi_label=soft, name="answer")
        fusion = FiLMFusion(by="question", name="fusion") if fusion is None else fusion
        super().__init__(
            encoders,
            fusion,
            {"answer": head},
            grouped="question",
            hidden_dim=hidden_dim,
            dropout_rate=dropout_rate,
            optional=optional,
            modality_dropout_rate=modality_dropout_rate,
            preprocessor=preprocessor,
            **kwargs,
        )
        self.answers = answers
        self.soft = soft

    def default_metrics(self):
        return [SoftAccuracy(name="accuracy")] if self.soft else super().default_metrics()

    def endpoints(self):
        (endpoint,) = super().endpoints().values()
        # Also where answers hold by degrees, the likeliest is given.
        return {"answer": endpoint._replace(replies={"answer": {"kind": "class", "names": list(self.answers)}})}

    def answer(self, image, question):
        """Answer one question or several.

        Args:
            image: a picture, as the preprocessor reads it (path, bytes, array), or a list with one per question.
            question: a question, or a list of them.

        Returns:
            The answer, or a list of them.
        """
        questions = [question] if isinstance(question, str) else list(question)
        images = image if isinstance(image, list) and len(image) == len(questions) else [image] * len(questions)
        if isinstance(image, list) and len(image) != len(questions):
            raise ValueError(
                "One picture is needed for all questions, or one for each. "
                f"Received: {len(image)} pictures and {len(questions)} questions"
            )
        records = [{"image": i, "question": q} for i, q in zip(images, questions, strict=True)]
        best = self.predict_records(records)["answer"].argmax(axis=-1)
        given = [self.answers[index] for index in best]
        return given[0] if isinstance(question, str) else given

    def get_config(self):
        return {**super().get_config(), "answers": self.answers, "soft": self.soft}
