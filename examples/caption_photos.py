"""Say what is on photos: train on photos with captions, then ask.

python examples/caption_photos.py Flickr8k --epochs 20 --weights imagenet   # or a folder with COCO's annotations/,
python examples/caption_photos.py coco --precision mixed_float16 --devices 2   # train2017/ and val2017/
python examples/caption_photos.py Flickr8k --ask dog.jpg                    # three sentences, the likeliest first
"""

import keras
import script

import mmkeras as mm


def read(folder):
    if not (folder / "annotations").is_dir():
        return mm.data.read_flickr8k(folder).official_split()
    annotations = {part: folder / "annotations" / f"captions_{part}2017.json" for part in ("train", "val")}
    return mm.data.read_coco(annotations, {part: folder / f"{part}2017" for part in annotations}).official_split()


def learn(given):
    train, val, _ = read(given.data)
    with script.on(given):
        encoder, size = script.image_encoder(given, 112)
        text = mm.preprocessing.Text(8000, length=22)
        pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image(size), text=text).adapt(train)
        task = mm.models.ImageCaptioner(encoder, "lstm", units=384, dropout_rate=0.3, preprocessor=pre)
        task.compile(keras.optimizers.AdamW(1e-3), mm.losses.WordCrossEntropy(label_smoothing=0.1))
    # A photo is encoded once for its captions.
    augment = {"image": [mm.preprocessing.RandomCrop((0.7, 1.0)), mm.preprocessing.RandomFlip()]}
    batches = pre.dataset(train, given.batch_size, group_size=5, augment=augment)
    said = mm.training.SentenceCallback(val.take(500), every=2, num_beams=3)
    task.fit(batches, epochs=given.epochs, callbacks=script.callbacks(given, said), verbose=2)
    task.save(given.out.with_suffix(".keras"))


def main(arguments=None):
    given = script.flags(__doc__, "captioner", epochs=20, batch_size=64).parse_args(arguments)
    if given.ask is None:
        return learn(given)
    task = keras.saving.load_model(given.out.with_suffix(".keras"))
    for sentence in task.generate({"image": given.ask}, strategy=mm.generation.Beam(3, num_return=3)):
        print(sentence)
    return task


if __name__ == "__main__":
    main()
