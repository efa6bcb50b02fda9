"""Weights from files, with errors that say what to do."""

import os

import h5py
import keras


def load_pretrained(make_model, weights, *, architecture):
    """Build a network of `keras.applications` and give it weights.

    Args:
        make_model: function of `weights` ("imagenet" or None) and `include_top` that returns the network.
        weights: None, "imagenet", or the path of an .h5, .weights.h5 or .keras file, with or without the classifier.
        architecture: name used in errors.

    Returns:
        The network without its classifier.
    """
    if weights is None:
        return make_model(weights=None, include_top=False)
    if weights == "imagenet":
        return _download(make_model, architecture)
    if not os.path.isfile(weights):
        raise ValueError(
            f"`weights` must be None, 'imagenet' or the path of a weights file. Received: weights={weights!r}, which "
            "is not a file."
        )
    include_top = _holds_classifier(weights)
    network = make_model(weights=None, include_top=include_top)
    load_weights(network, weights, architecture=architecture)
    if not include_top:
        return network
    headless = make_model(weights=None, include_top=False)
    trained = {layer.name: layer for layer in network.layers}
    for layer, source in zip(headless.layers, network.layers, strict=False):
        layer.set_weights(trained.get(layer.name, source).get_weights())
    return headless


def load_weights(network, path, *, architecture):
    """Load a weights file into a network; a file that does not fit is an error that names both."""
    if not os.path.isfile(path):
        raise ValueError(f"No weights file at {path!r}. Give the path of weights saved from {architecture}.")
    try:
        if path.endswith(".keras"):
            network.set_weights(keras.saving.load_model(path).get_weights())
        else:
            network.load_weights(path)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"The file {path!r} does not hold weights of {architecture}, which has {len(network.weights)} arrays and "
            f"{network.count_params():,} numbers. Give the path of weights saved from {architecture}, or choose the "
            f"encoder the file belongs to. Received: {reason}"
        ) from error


def _holds_classifier(path):
    if not path.endswith((".h5", ".hdf5")):
        return False
    try:
        with h5py.File(path, "r") as file:
            group = file.get("model_weights", file)
            names = [name.decode() if isinstance(name, bytes) else str(name) for name in group.attrs["layer_names"]]
    except (OSError, KeyError):
        # Not HDF5, or a Keras 3 file without a list of names: loading it will say whether it fits.
        return False
    return "predictions" in names


def _download(make_model, architecture):
    try:
        return make_model(weights="imagenet", include_top=False)
    except Exception as error:
        raise ValueError(
            f"The ImageNet weights of {architecture} could not be fetched. With no network, copy the "
            "'..._notop.h5' file of keras.applications to this machine and pass weights='PATH'. "
            f"Received: {str(error).strip().splitlines()[0]}"
        ) from error
