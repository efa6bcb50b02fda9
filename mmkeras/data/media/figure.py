"""Matplotlib, without which everything but drawing works."""


def import_figure(what="Drawing"):
    """Import Matplotlib's `Figure`, which needs no window, or say what needs it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"{what} needs matplotlib: pip install 'mmkeras[plots]'") from error
    return Figure
