"""Why a task answers as it does."""

from mmkeras.interpret.attention_maps import attention_maps
from mmkeras.interpret.attention_picture import plot_attention
from mmkeras.interpret.clips import ClipExplanation, explain_clip
from mmkeras.interpret.contributions import Contributions, contributions
from mmkeras.interpret.explanation import Explanation
from mmkeras.interpret.grad_cam import grad_cam
from mmkeras.interpret.integrated_gradients import integrated_gradients

__all__ = [
    "ClipExplanation",
    "Contributions",
    "Explanation",
    "attention_maps",
    "contributions",
    "explain_clip",
    "grad_cam",
    "integrated_gradients",
    "plot_attention",
]
