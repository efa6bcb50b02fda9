"""What the scripts beside this file have in common: flags, precision, devices, and going on after an interruption."""

import argparse
import contextlib
import pathlib

import keras

import mmkeras as mm


def flags(description, out, *, epochs, batch_size):
    """A parser with the flags of every script that trains."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path, help="folder of the data, in a public layout")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(out), help="where to save, without an ending")
    parser.add_argument("--ask", help="ask the saved model instead of training")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--batch-size", type=int, default=batch_size, help="on all devices together")
    parser.add_argument("--precision", default="float32", help="mixed_bfloat16, or mixed_float16 on older GPUs")
    parser.add_argument("--devices", type=int, default=1, help="train on so many GPUs, or processors where none is")
    parser.add_argument("--weights", help='"imagenet" or a weights file: see by ResNet50, frozen, at 224 x 224')
    return parser


def on(given):
    """Set the precision, and give the scope in which a task is built that trains on several devices."""
    keras.config.set_dtype_policy(given.precision)
    if given.devices == 1:
        return contextlib.nullcontext()
    import tensorflow as tf

    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "CPU":
        parts = [tf.config.LogicalDeviceConfiguration()] * given.devices
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    return tf.distribute.MirroredStrategy([f"{kind}:{number}" for number in range(given.devices)]).scope()


def image_encoder(given, size, *, pooling=None, normalization="group"):
    """A pretrained ResNet50 where weights are given, else a small one to train from scratch; and its picture size."""
    if given.weights is None:
        shape = (size, size, 3)
        small = mm.encoders.resnet((1, 1, 1, 1), 48, normalization=normalization, image_shape=shape, pooling=pooling)
        return small, (size, size)
    encoder = mm.encoders.resnet50(weights=given.weights, image_shape=(224, 224, 3), pooling=pooling)
    mm.training.freeze(encoder)
    return encoder, (224, 224)


def callbacks(given, *others):
    """Go on where an interrupted run stopped; losses and more in TensorBoard: tensorboard --logdir OUT.logs."""
    out = str(given.out)
    return [
        keras.callbacks.BackupAndRestore(out + ".backup"),
        *others,
        keras.callbacks.TensorBoard(out + ".logs"),
        keras.callbacks.CSVLogger(out + ".csv", append=True),
    ]
