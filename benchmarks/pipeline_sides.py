"""One side of `pipeline.py`: a process that reads a list of files once for every line on its standard input."""

import functools
import sys
import time

BATCH = 64
SIZE = (112, 112)
FRAMES = 16
RATE = 16000


def mmkeras_side(case, files, cores):
    import mmkeras as mm

    key, part, batch = {
        "photos": ("image", mm.preprocessing.Image(SIZE), BATCH),
        "large": ("image", mm.preprocessing.Image(SIZE), BATCH),
        "sounds": ("audio", mm.preprocessing.Audio(RATE, seconds=1.0), BATCH),
        "clips": ("video", mm.preprocessing.Video(FRAMES, SIZE), 4),
    }[case]
    records = mm.data.from_arrays(**{key: files})
    dataset = mm.preprocessing.Preprocessor(**{key: part}).dataset(records, batch)
    return lambda: sum(len(x[next(iter(x))]) for x in dataset)


def limit_side(case, files, cores, in_graph=False):
    """The decoder alone, on one thread, in a loop of Python or of the graph."""
    if case == "clips":
        import av
        import numpy as np

        def frames(path):
            with av.open(path) as container:
                container.streams.video[0].thread_type = "SLICE"
                container.streams.video[0].codec_context.thread_count = 1
                decoded = list(container.decode(video=0))
            picked = [decoded[i] for i in np.linspace(0, len(decoded) - 1, FRAMES).round().astype(int)]
            return np.stack([f.to_ndarray(format="rgb24", width=SIZE[1], height=SIZE[0]) for f in picked])

        return lambda: sum(1 for path in files if len(frames(path)))
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    def picture(path):
        return tf.image.resize(tf.io.decode_jpeg(tf.io.read_file(path), channels=3), SIZE)

    def sound(path):
        return tf.audio.decode_wav(tf.io.read_file(path), desired_channels=1, desired_samples=RATE)[0]

    decode = tf.function(sound if case == "sounds" else picture, input_signature=[tf.TensorSpec((), tf.string)])
    if not in_graph:
        return lambda: sum(1 for path in files if decode(path) is not None)

    # The loop too is in the graph, which saves the call from Python. It looks at what was decoded, or the graph would
    # be simplified to nothing.
    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def loop(paths):
        total = tf.zeros(())
        for path in paths:
            total += tf.reshape(decode(path), (-1,))[0]
        return total

    paths = tf.constant(files)
    return lambda: len(files) if np.isfinite(loop(paths)) else 0


def dataloader_side(case, files, cores):
    import numpy as np
    import torch
    from torch.utils.data import DataLoader, Dataset

    def picture(path):
        from PIL import Image

        with Image.open(path) as image:
            image.draft("RGB", SIZE)
            return np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.BILINEAR), dtype="float32")

    def sound(path):
        import soundfile

        return soundfile.read(path, dtype="float32")[0]

    def clip(path):
        import av

        with av.open(path) as container:
            decoded = list(container.decode(video=0))
        picked = [decoded[i] for i in np.linspace(0, len(decoded) - 1, FRAMES).round().astype(int)]
        frames = [frame.to_ndarray(format="rgb24", width=SIZE[1], height=SIZE[0]) for frame in picked]
        return np.stack(frames).astype("float32")

    read = {"photos": picture, "large": picture, "sounds": sound, "clips": clip}[case]

    class Files(Dataset):
        def __len__(self):
            return len(files)

        def __getitem__(self, row):
            return torch.from_numpy(read(files[row]))

    # Workers live on between epochs: starting them is not what is measured.
    batch = 4 if case == "clips" else BATCH
    loader = DataLoader(Files(), batch_size=batch, shuffle=True, num_workers=cores, persistent_workers=True)
    return lambda: sum(len(batch) for batch in loader)


def main():
    side, case, listing, cores = sys.argv[1:]
    with open(listing) as file:
        files = file.read().splitlines()
    make = {
        "mmkeras": mmkeras_side,
        "limit": limit_side,
        "graph_limit": functools.partial(limit_side, in_graph=True),
        "dataloader": dataloader_side,
    }[side]
    epoch = make(case, files, int(cores))
    for _ in sys.stdin:
        start = time.perf_counter()
        count = epoch()
        print(count, time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
