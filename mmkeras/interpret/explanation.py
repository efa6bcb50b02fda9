"""What counted for an answer, and its picture."""

from typing import Any, NamedTuple, final

import numpy as np

from mmkeras.interpret.drawing import Panels


@final
class Explanation(NamedTuple):
    """What in a record counted for an answer.

    Attributes:
        method: how it was found, such as `"Grad-CAM"`.
        answer: what is explained: class name, number, sentence or similarity.
        score: the number that is explained: probability of the class, number, log-probability of the sentence,
            similarity.
        baseline: the score with nothing in the record, to which the maps add up; None where they do not.
        maps: dict modality -> array, how much each part counted.
        inputs: dict modality -> what was given, as prepared.
        kinds: dict modality -> what that is, such as `"image"`, `"spectrogram"` or `"token_ids"`.
        words: dict modality -> list of words, one for each number of its map, where the preprocessor knows them.

    Example:

    >>> why = Explanation("by hand", "cat", 0.9, 0.5, {"text": np.array([0.1, 0.3])}, {}, {"text": "token_ids"},
    ...     {"text": ["a", "cat"]})
    >>> why.shares()
    {'text': 0.4}
    >>> len(why.plot().axes)
    2
    """

    method: str
    answer: Any
    score: float
    baseline: float | None
    maps: dict[str, np.ndarray]
    inputs: dict[str, np.ndarray]
    kinds: dict[str, str]
    words: dict[str, list[str]]

    def shares(self) -> dict[str, float]:
        """How much each modality counted: the sum of its map."""
        return {name: round(float(np.sum(values, dtype="float64")), 6) for name, values in self.maps.items()}

    def plot(self) -> Any:
        """Draw what was given with what counted over it, one modality below the other.

        Where numbers have a sign, red spoke for the answer and blue against it. Numbers of pixels, samples and steps
        are added up over small cells, which can be seen; colours are paler where a modality counted little beside
        another.

        Returns:
            A `matplotlib.figure.Figure`; `figure.savefig("why.png")` saves it.
        """
        signed = self.baseline is not None
        answer = self.answer
        if isinstance(answer, float):
            answer = f"{answer:.3g}"
        score = f"{self.score:.3g}" if signed or answer != f"{self.score:.3g}" else ""
        start = f"{self.baseline:.3g} with nothing, {score} with all" if signed else score
        panels = Panels(f"{answer}" + (f"   ({start})" if start else ""), self.method, signed, self.maps.values())
        shares = self.shares()
        for name, values in self.maps.items():
            title = f"{name}   {shares[name]:+.3g}" if signed else name
            kind = self.kinds.get(name)
            if kind == "token_ids":
                ids = [str(token) for token in np.asarray(self.inputs.get(name, ()))]
                panels.add_words(title, self.words.get(name, ids), values)
            elif kind == "image":
                panels.add_picture(title, self.inputs[name], values)
            elif kind == "frames":
                panels.add_frames(title, self.inputs[name], values)
            elif kind == "spectrogram":
                panels.add_spectrogram(title, self.inputs[name], values)
            elif kind == "audio":
                panels.add_curves(title, self.inputs[name][:, None], values)
            elif kind == "signal":
                panels.add_curves(title, self.inputs[name], values)
            else:
                panels.add_bars(title, values)
        return panels.figure()
