"""Search your photos by sentences: train on photos with captions, index them, ask.

python examples/photo_search.py Flickr8k --epochs 40                  # learns, saves photo_search.keras and .index
python examples/photo_search.py Flickr8k --ask "a dog in the snow"    # asks what was learned
"""

import argparse
import pathlib

import keras

import mmkeras as mm


def learn(train, val, epochs, batch_size):
    text = mm.preprocessing.Text(8000, length=24)
    pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image((96, 96)), text=text).adapt(train)
    encoders = {
        "image": mm.encoders.resnet((1, 1, 1, 1), 48, normalization="batch", pooling="avg"),
        "text": mm.encoders.bag_of_words(text.vocabulary_size, word_dropout_rate=0.2),
    }
    task = mm.models.JointEmbedding(encoders, mm.losses.InfoNCE(), dim=256, dropout_rate=0.2, preprocessor=pre)
    task.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.3))
    augment = {"image": [mm.preprocessing.RandomCrop((0.5, 1.0)), mm.preprocessing.RandomFlip()]}
    # A photo is encoded once for its five captions.
    batches = pre.dataset(train, batch_size, group_size=5, cache="memory", augment=augment)
    task.fit(batches, epochs=epochs, callbacks=[mm.training.RetrievalCallback(val, every=5)])
    return task


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder in the layout of Flickr8k")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("photo_search"), help="where to save, no ending"
    )
    parser.add_argument("--ask", help="a sentence; None trains first")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=128)
    given = parser.parse_args(arguments)
    task_path, index_path = given.out.with_suffix(".keras"), given.out.with_suffix(".index")
    if given.ask is None:
        train, val, _ = mm.data.read_flickr8k(given.data).official_split()
        task = learn(train, val, given.epochs, given.batch_size)
        task.save(task_path)
        photos = train + val
        mm.retrieval.Index().add(task.embed("image", photos), keys=photos.column("image")).save(index_path)
        return
    task, index = keras.saving.load_model(task_path), mm.retrieval.Index.load(index_path)
    found = index.search(task.embed("text", given.ask), k=5)
    for score, photo in zip(found.scores, found.keys, strict=True):
        print(f"{score:.3f}  {photo}")


if __name__ == "__main__":
    main()
