"""How fast do files become batches? Samples per second from JPEG, wav and mp4 files, against two peers.

The limit is a bare loop over the decoder in one process on one thread, times the number of cores: reading, decoding
and resizing with nothing around it. The graph limit is the same loop inside a TensorFlow graph, without a call from
Python for every file: nothing that hands out single files can reach it. The peer is a PyTorch DataLoader with Pillow,
soundfile or PyAV and one worker a core; it runs with the interpreter of `--torch`, whose environment has torch, pillow,
soundfile and av.

Pictures: Flickr8k photos (112x112 already, so that nothing is saved by scaling) and made ones of 640x480; both become
float32 batches of 112x112, scaled decoding being allowed on both sides. Sounds: made wavs of one second. Clips: made
mp4s, 16 frames of 112x112 of each. All sides take turns in one run, every round a whole epoch of each.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import parser, report, show, versions

SIDES = Path(__file__).with_name("pipeline_sides.py")
GOALS = {
    ("photos", "limit"): 0.85,
    ("photos", "dataloader"): 1.3,
    ("large", "limit"): 0.85,
    ("large", "dataloader"): 1.0,
    ("sounds", "limit"): 0.85,
    ("sounds", "dataloader"): 1.0,
    ("clips", "limit"): 0.85,
    ("clips", "dataloader"): 1.0,
}


def main():
    made = parser(__doc__.splitlines()[0])
    made.add_argument("--torch", metavar="PYTHON", help="interpreter that has torch, for the DataLoader")
    made.add_argument("--rounds", type=int, default=7, help="epochs of each side")
    arguments = made.parse_args()
    started = time.perf_counter()
    results, rows = {}, []
    with tempfile.TemporaryDirectory() as folder:
        sets = make_files(Path(folder), Path(arguments.data), smoke=arguments.smoke)
        for case, listing in sets.items():
            speeds = race(case, listing, arguments)
            results |= {f"{case}_per_second_{side}": statistics.median(values) for side, values in speeds.items()}
            for peer in ("limit", "graph_limit", "dataloader"):
                if peer not in speeds:
                    continue
                ratios = [ours / theirs for ours, theirs in zip(speeds["mmkeras"], speeds[peer], strict=True)]
                results[f"{case}_ratio_vs_{peer}"] = statistics.median(ratios)
                rows.append(
                    (
                        f"{case}, {peer}",
                        f"{statistics.median(speeds['mmkeras']):,.0f}",
                        f"{statistics.median(speeds[peer]):,.0f}",
                        f"{statistics.median(ratios):.2f}",
                        f"{min(ratios):.2f}-{max(ratios):.2f}",
                        f">= {GOALS[case, peer]:.2f}" if (case, peer) in GOALS else "",
                    )
                )
    show("Samples per second", ("files, against", "mmkeras", "peer", "ratio", "range", "goal"), rows)
    report("pipeline", results, arguments, started, found=versions())


def race(case, listing, arguments):
    """Samples per second of each side, one value per round."""
    cores = len(os.sched_getaffinity(0))
    here = sys.executable
    pythons = {"mmkeras": here, "limit": here, "graph_limit": here, "dataloader": arguments.torch}
    if case == "clips":
        # PyAV has no graph.
        del pythons["graph_limit"]
    sides = {
        side: subprocess.Popen(
            [python, str(SIDES), side, case, str(listing), str(cores)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        )
        for side, python in pythons.items()
        if python
    }
    speeds = {side: [] for side in sides}
    try:
        for number in range((1 if arguments.smoke else arguments.rounds) + 1):
            for side, process in sides.items():
                process.stdin.write("epoch\n")
                process.stdin.flush()
                answer = process.stdout.readline()
                if not answer:
                    raise RuntimeError(f"the side {side!r} of {case!r} has ended; its error stands above")
                count, seconds = map(float, answer.split())
                # The limit is one thread's speed on every core.
                if number:
                    speeds[side].append(count / seconds * (cores if side.endswith("limit") else 1))
    finally:
        for process in sides.values():
            process.stdin.close()
            process.wait()
    return speeds


def make_files(folder, data, *, smoke):
    """Write what is made up, and a list of files for each case: name -> path of the list."""
    count = 64 if smoke else 2000
    photos = sorted((data / "Flicker8k_Dataset").glob("*.jpg"))[:count]
    if not photos:
        raise SystemExit(f"No JPEG files in {data / 'Flicker8k_Dataset'}: point --data at a Flickr8k folder.")
    made = {
        "photos": photos,
        "large": large_pictures(folder / "large", photos, 16 if smoke else 1600),
        "sounds": sounds(folder / "sounds", 16 if smoke else 2000),
        "clips": clips(folder / "clips", 4 if smoke else 40),
    }
    for case, files in made.items():
        (folder / f"{case}.txt").write_text("\n".join(map(str, files)))
    return {case: folder / f"{case}.txt" for case in made}


def large_pictures(folder, photos, count):
    """JPEG files of 640x480 with the content of photos, so that they compress like photos."""
    from PIL import Image

    folder.mkdir()
    for number in range(count):
        with Image.open(photos[number % len(photos)]) as photo:
            photo.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=90)
    return sorted(folder.iterdir())


def sounds(folder, count):
    """Wav files of one second at 16 kHz, 16 bits."""
    import soundfile

    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        soundfile.write(folder / f"{number}.wav", rng.uniform(-0.5, 0.5, 16000), 16000, subtype="PCM_16")
    return sorted(folder.iterdir())


def clips(folder, count):
    """H.264 clips of two seconds, 320x240 at 25 frames a second, without sound."""
    import av

    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        with av.open(str(folder / f"{number}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            scene = rng.integers(0, 255, (12, 16, 3), dtype="uint8").repeat(20, axis=0).repeat(20, axis=1)
            for shift in range(50):
                frame = av.VideoFrame.from_ndarray(np.roll(scene, 4 * shift, axis=1), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return sorted(folder.iterdir())


if __name__ == "__main__":
    main()
