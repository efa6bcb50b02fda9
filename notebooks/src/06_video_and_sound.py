# %% [markdown]
# # 06 Video and sound: what only both of them tell
#
# At the end you have a model that watches and listens at once, a picture of the moments that its answer hung on, clips
# found by that, and proof that it compares *when* things are seen and heard: shift the sound by a frame, and it
# falls for it. In the clips a circle and a square bounce, and one of them is heard. About two minutes on two cores.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np

import mmkeras as mm

keras.utils.set_random_seed(0)
CLIPS, EPOCHS = 2000, 10  # smoke: 40, 1

# %% [markdown]
# ## Clips
#
# Each clip has three labels, which need different senses: the `colour` of both things is seen, the `material` of the
# one that makes the sound is heard, and which one it is, the `source`, is known only to who compares when things bounce
# with when it sounds. Both bounce equally often. A fourth label, `bounces`, says of each frame whether nothing
# bounces, something silent does, or something that is heard.

# %%
LABELS = ("colour", "material", "source", "bounces")
toy = mm.data.toy.ToyClips(CLIPS, seed=1)
train, val, test = (toy.records(split, LABELS) for split in ("train", "val", "test"))


def show(clip):
    axes = plt.figure(figsize=(13, 3), layout="constrained").subplots(2, 1, height_ratios=(1.4, 1))
    axes[0].imshow(np.concatenate(clip["video"], axis=1), aspect="auto")
    axes[0].set_title(clip["text"])
    axes[0].axis("off")
    axes[1].plot(np.linspace(0, 2, len(clip["audio"])), clip["audio"], linewidth=0.4, color="0.2")
    axes[1].set(xlim=(0, 2), xlabel="seconds", yticks=[])
    for frame, kind in enumerate(clip["bounces"]):
        if kind != "none":
            axes[1].axvspan(frame / 8, (frame + 1) / 8, color="tab:green" if kind == "heard" else "0.85", alpha=0.5)


show(test[0])
plt.show()

# %% [markdown]
# Green are the frames in which the thing that is heard touches the floor, grey those of the other one.
#
# ### Your own clips
#
# A record is `{"video": "clip.mp4", "label": "crash"}`; the sound of the same span is taken out of the file. Here is
# the whole of it for a folder with one subfolder per class. The rest of this notebook stays with the toy clips, whose
# truth is known.

# %%
DATA = None  # a folder such as "clips", with clips/crash/1.mp4 ...; None leaves this out
if DATA is not None:
    files, others = mm.data.read_folder(DATA).split(0.8, seed=0)
    own = mm.preprocessing.Preprocessor(
        video=mm.preprocessing.Video(16, (96, 96)),
        audio=mm.preprocessing.Audio(16_000, seconds=4.0),
        label=mm.preprocessing.Label(),
    ).adapt(files)
    watch = {
        "video": mm.encoders.time_distributed(mm.encoders.resnet18(image_shape=(96, 96, 3), pooling="avg")),
        "audio": mm.encoders.spectrogram_cnn(16_000, 16),
    }
    judge = mm.models.VideoAudioModel(watch, classes=own["label"].classes, preprocessor=own)
    judge.compile()
    judge.fit(own.dataset(files, 8), validation_data=own.dataset(others, 8), epochs=5, verbose=2)

# %% [markdown]
# ## The model
#
# An image encoder reads each frame, another network the spectrogram of the sound. `TimelineFusion` lets frames look at
# the sound around them and the sound at the frames around it, brings both to the steps of the frames, and fuses them
# step by step. One head answers about the clip for each of three labels, one about each frame.
#
# Two choices make this easy to learn. The spectrogram is made by the preprocessor, 32 columns for each second, of which
# the encoder makes 8 tokens: as many as there are frames, so that each token has its frame. And the labels of frames
# teach *when* there is something to compare; `source` alone says only at the end of a clip whether a guess was right.

# %%
pre = mm.preprocessing.Preprocessor(
    video=mm.preprocessing.Video(16, (16, 24)),
    audio=mm.preprocessing.Audio(8_000, seconds=2.0, output="log_mel", num_mels=16, stride=250),
    **{name: mm.preprocessing.Label(toy.classes(name)) for name in LABELS},
).adapt(train)
still = mm.encoders.vgg(2, 12, convolutions=1, image_shape=(16, 24, 3), pooling="max")
encoders = {
    "video": mm.encoders.time_distributed(still),
    "audio": mm.encoders.spectrogram_cnn(8_000, 8, blocks=2, dim=48, num_mels=16, from_waveform=False),
}
task = mm.models.VideoAudioModel(
    encoders,
    mm.layers.TimelineFusion(mm.layers.GatedFusion(48), dim=48),
    classes={name: pre[name].classes for name in LABELS[:3]},
    frame_classes={"bounces": pre["bounces"].classes},
    preprocessor=pre,
)
batches = pre.dataset(train, 16, cache="memory", drop_remainder=True)
steps = EPOCHS * int(batches.cardinality())
rise = steps // 20
rate = keras.optimizers.schedules.CosineDecay(2e-4, steps - rise, warmup_target=4e-3, warmup_steps=rise)
task.compile(keras.optimizers.AdamW(rate, weight_decay=0.01, global_clipnorm=5.0))
history = task.fit(batches, epochs=EPOCHS, verbose=0)

figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
for name in LABELS:
    axis.plot(history.history[f"{name}_accuracy"], label=name)
axis.set(xlabel="epoch", ylabel="accuracy in training", ylim=(0, 1.03))
axis.legend()
plt.show()

# %% [markdown]
# What is seen and what is heard is learned at once. Which of the two is heard waits until the frames are understood.
#
# ## Does it need both, at the same time?
#
# Four controls, on clips that were not trained on: the sound of other clips; no picture to speak of, each clip showing
# the mean of its frames; and the sound late by one frame and by four.


# %%
def accuracies(clips):
    outputs = task.predict_records(clips, batch_size=64)
    return {
        name: float(
            np.mean(
                [
                    toy.classes(name)[best] == clip[name]
                    for best, clip in zip(outputs[name].argmax(axis=1), clips, strict=True)
                ]
            )
        )
        for name in LABELS[:3]
    }


def late(frames):
    return mm.data.toy.ToyClips(CLIPS, seed=1, late_frames=frames).records("test", LABELS)


shown = {
    "as they are": test,
    "sound of another clip": [
        {**clip, "audio": other["audio"]} for clip, other in zip(test, [*test[1:], test[0]], strict=True)
    ],
    "frames do not move": [
        {**clip, "video": np.repeat(clip["video"].mean(axis=0, keepdims=True), 16, axis=0).astype("uint8")}
        for clip in test
    ],
    "sound late by 1 frame": late(1),
    "sound late by 4 frames": late(4),
}
rows = [{"clips": kind, **accuracies(clips)} for kind, clips in shown.items()]
mm.evaluation.Table(rows, f"Accuracy on {len(test)} unseen clips; chance is 0.167, 0.333, 0.5")

# %% [markdown]
# Read the columns one by one. Colour survives what keeps a picture (a mean of frames is a pale one), material whatever
# keeps the sound. Source is known from clips as they are, and becomes a guess when the sound is that of another clip,
# when nothing moves, and when the sound comes late by an eighth of a second: the model has learned to compare moments.
#
# `mm.data.corruption.Desync` shifts the sound of clips of your own in the same way.
#
# ## What did an answer hang on?
#
# `explain_clip` hides one frame after the other, and one part of the sound after the other, and draws by how much the
# probability of the answer falls, over the clip itself. This is the first clip of above: its three sounds decide, and
# frames around them and around the bounces of the other thing. The last row shows where in the sound each frame looked;
# frames in which something touches the floor look elsewhere than the others.

# %%
why = mm.interpret.explain_clip(task, test[0], head="source")
why.plot()

# %% [markdown]
# ## Moments
#
# `tag` gives the answers about each frame. So the model finds the moments that matter, and a summary of a clip can be
# made of them: `summarize` picks frames that differ from one another, here those first in which something is heard.

# %%
clip = test[1]
moments = task.tag(clip)
print("truth:", *(kind[0] if kind != "none" else "." for kind in clip["bounces"]))
print("told: ", *(moment["label"][0] if moment["label"] != "none" else "." for moment in moments))
heard = [moment["probabilities"]["heard"] for moment in moments]
summary = mm.retrieval.summarize(clip["video"], still, num_frames=3, scores=heard)
print(f"frames at {summary.times.tolist()}")

# %% [markdown]
# ## A contact sheet of what was asked for
#
# Everything together: ask for clips in which a glass square is heard, rank all unseen clips by how sure the model is of
# both, and show of the best four the moments in which it hears something. Of a file, `summary.write_sheet` and
# `summary.write_film` do the same, the latter with sound.

# %%
outputs = task.predict_records(test, batch_size=64)
wanted = {"material": "glass", "source": "square"}
sure = np.prod([outputs[name][:, toy.classes(name).index(value)] for name, value in wanted.items()], axis=0)
best = np.argsort(-sure)[:4]

figure, axes = plt.subplots(4, 3, figsize=(7, 7.4), layout="constrained")
for row, index in enumerate(best):
    clip = test[index]
    heard = outputs["bounces"][index][:, toy.classes("bounces").index("heard")]
    summary = mm.retrieval.summarize(clip["video"], still, num_frames=3, scores=heard)
    for axis, frame, time in zip(axes[row], summary.frames, summary.times, strict=True):
        axis.imshow(frame)
        axis.set_title(f"frame {time:.0f}", fontsize=8)
        axis.set(xticks=[], yticks=[])
    axes[row, 0].set_ylabel(f"{sure[index]:.2f}", rotation=0, labelpad=18)
    axes[row, 1].set_title(clip["text"], fontsize=8)
plt.show()

# %% [markdown]
# ## Where to go next
#
# - `docs/video.md`: sentences about clips, clips by sentences, streams that do not end together, a film without sound.
# - `Transcriber`: what is said, by sound, lips or both; `benchmarks/grid.py`.
# - Notebook 07: what if the sound is noisy, or missing altogether.
# - `benchmarks/toy_clips.py` trains longer and adds models of the frames and of the sound alone.
