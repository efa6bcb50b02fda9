"""Search your photos by sentences: train on photos with captions, index them, ask.

python examples/photo_search.py Flickr8k --epochs 40                  # learns, saves photo_search.keras and .index
python examples/photo_search.py Flickr8k --ask "a dog in the snow"    # asks what was learned
"""

import keras
import script

import mmkeras as mm


def learn(given):
    train, val, _ = mm.data.read_flickr8k(given.data).official_split()
    with script.on(given):
        image, size = script.image_encoder(given, 96, normalization="batch", pooling="avg")
        text = mm.preprocessing.Text(8000, length=24)
        pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image(size), text=text).adapt(train)
        encoders = {"image": image, "text": mm.encoders.bag_of_words(text.num_tokens, word_dropout_rate=0.2)}
        task = mm.models.JointEmbedding(encoders, mm.losses.InfoNCE(), dim=256, dropout_rate=0.2, preprocessor=pre)
        task.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.3))
    augment = {"image": [mm.preprocessing.RandomCrop((0.5, 1.0)), mm.preprocessing.RandomFlip()]}
    # A photo is encoded once for its five captions.
    batches = pre.dataset(train, given.batch_size, group_size=5, cache="memory", augment=augment)
    found = mm.training.RetrievalCallback(val, every=5)
    task.fit(batches, epochs=given.epochs, callbacks=script.callbacks(given, found), verbose=2)
    task.save(given.out.with_suffix(".keras"))
    photos = train + val
    index = mm.retrieval.Index().add(task.embed("image", photos), keys=photos.column("image"))
    index.save(given.out.with_suffix(".index"))


def main(arguments=None):
    given = script.flags(__doc__, "photo_search", epochs=40, batch_size=128).parse_args(arguments)
    if given.ask is None:
        return learn(given)
    task = keras.saving.load_model(given.out.with_suffix(".keras"))
    found = mm.retrieval.Index.load(given.out.with_suffix(".index")).search(task.embed("text", given.ask), k=5)
    for score, photo in zip(found.scores, found.keys, strict=True):
        print(f"{score:.3f}  {photo}")
    return None


if __name__ == "__main__":
    main()
