"""Say what happens in clips, by what is seen and heard: train on folders of clips, then ask.

python examples/understand_clips.py clips --weights imagenet    # clips/applause/3.mp4, clips/crash/7.mp4 ...
python examples/understand_clips.py clips --ask new.mp4

Such as UCF-101 or Kinetics, unpacked. With folders clips/train and clips/val these are the split, else a fifth of all
clips is held out. Clips without a sound track are fine.
"""

import keras
import script

import mmkeras as mm

RATE = 16_000


def read(folder):
    clips = mm.data.read_folder(folder)
    return clips.official_split()[:2] if clips.splits else clips.split(0.8, seed=0)


def learn(given):
    train, val = read(given.data)
    with script.on(given):
        still, size = script.image_encoder(given, 96, pooling="avg")
        pre = mm.preprocessing.Preprocessor(
            video=mm.preprocessing.Video(12, size),
            audio=mm.preprocessing.Audio(RATE, seconds=4.0),
            label=mm.preprocessing.Label(),
            optional=("audio",),
        ).adapt(train)
        encoders = {"video": mm.encoders.time_distributed(still), "audio": mm.encoders.spectrogram_cnn(RATE, 32)}
        task = mm.models.VideoAudioModel(
            encoders, classes=pre["label"].classes, optional=("audio",), modality_dropout_rate=0.2, preprocessor=pre
        )
        task.compile(keras.optimizers.AdamW(5e-4))
    batches = pre.dataset(train, given.batch_size)
    held_out = pre.dataset(val, given.batch_size, shuffle=False)
    callbacks = script.callbacks(given)
    task.fit(batches, validation_data=held_out, epochs=given.epochs, callbacks=callbacks, verbose=2)
    task.save(given.out.with_suffix(".keras"))


def main(arguments=None):
    given = script.flags(__doc__, "clips_model", epochs=15, batch_size=16).parse_args(arguments)
    if given.ask is None:
        return learn(given)
    task = keras.saving.load_model(given.out.with_suffix(".keras"))
    mm.interpret.explain_clip(task, {"video": given.ask}).plot().savefig(f"{given.out}.png")
    print(task.classify({"video": given.ask}, views=3)["label"])
    return None


if __name__ == "__main__":
    main()
