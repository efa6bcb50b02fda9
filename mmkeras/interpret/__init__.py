"""Why a task answers as it does."""

from mmkeras.interpret.clips import ClipExplanation, explain_clip

__all__ = ["ClipExplanation", "explain_clip"]
