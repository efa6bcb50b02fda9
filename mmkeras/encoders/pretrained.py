"""Weights of pretrained networks: fetched on request, or read from a file, with errors that say what to do."""

import os
import warnings

import h5py
import keras


def build_network(make_network, weights, *, architecture):
    """Build a network, with ImageNet weights where `weights` asks for them.

    Args:
        make_network: function of `weights` ("imagenet" or None) and `include_top` that returns the network.
        weights: None, "imagenet", or a path that `load_weights` will read.
        architecture: name used in errors.

    Returns:
        The network without its classifier.
    """
    if weights != "imagenet":
        return make_network(weights=None, include_top=False)
    try:
        return make_network(weights="imagenet", include_top=False)
    except Exception as error:
        raise ValueError(
            f"The ImageNet weights of {architecture} could not be fetched. With no network, copy the weights file "
            "(without its classifier, '..._notop.h5') to this machine and pass weights='PATH'. "
            f"Received: {_first_line(error)}"
        ) from error


def load_weights(encoder, network, weights, *, architecture, make_network=None):
    """Read a weights file into an encoder: one of the network inside it, or of an encoder like it.

    Args:
        encoder: the encoder.
        network: the network inside the encoder.
        weights: path of an .h5, .weights.h5 or .keras file; None and "imagenet" read nothing.
        architecture: name used in errors.
        make_network: function that builds the network with its classifier, for files that hold one; or None.
    """
    if weights is None or weights == "imagenet":
        return
    path = os.fspath(weights)
    if not os.path.isfile(path):
        raise ValueError(
            f"`weights` must be None, 'imagenet' or the path of a weights file of {architecture}. "
            f"Received: weights={path!r}, which is not a file"
        )
    if make_network is not None and _holds_classifier(path):
        _load_without_classifier(network, make_network(weights=None, include_top=True), path, architecture)
        return
    reasons = []
    for model in (network, encoder):
        try:
            _load(model, path)
            return
        except Exception as error:
            reasons.append(_first_line(error))
    raise _misfit(network, path, architecture, reasons[0])


def _load(model, path):
    if path.endswith(".keras"):
        model.set_weights(keras.saving.load_model(path).get_weights())
        return
    with warnings.catch_warnings():
        # Keras warns about each part of a file that does not fit; the error that follows says it once.
        warnings.simplefilter("ignore", UserWarning)
        model.load_weights(path)


def _load_without_classifier(network, whole, path, architecture):
    try:
        _load(whole, path)
    except Exception as error:
        raise _misfit(whole, path, architecture, _first_line(error)) from error
    names = {layer.name for layer in network.layers}
    trained = [layer for layer in whole.layers if layer.name in names]
    for layer, source in zip(network.layers[1:], trained[1:], strict=True):
        layer.set_weights(source.get_weights())


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


def _misfit(network, path, architecture, reason):
    return ValueError(
        f"The file {path!r} does not hold weights of {architecture}, which has {len(network.weights)} arrays and "
        f"{network.count_params():,} numbers. Give the path of weights saved from {architecture}, or choose the "
        f"encoder the file belongs to. Received: {reason}"
    )


def _first_line(error):
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
