"""Answer questions about photos: train on VQA v2, then ask.

python examples/answer_questions.py vqa --weights imagenet --precision mixed_float16
python examples/answer_questions.py vqa --ask "dog.jpg: what colour is the dog?"

The folder holds the public files, v2_OpenEnded_mscoco_{train,val}2014_questions.json and
v2_mscoco_{train,val}2014_annotations.json, and the pictures in train2014/ and val2014/.
"""

import keras
import script

import mmkeras as mm


def read(folder):
    parts = ("train", "val")
    records = mm.data.read_vqa(
        {part: folder / f"v2_OpenEnded_mscoco_{part}2014_questions.json" for part in parts},
        {part: folder / f"v2_mscoco_{part}2014_annotations.json" for part in parts},
        {part: folder / f"{part}2014" for part in parts},
    )
    # Ten people answered: what three of them say is right.
    return records.map(lambda record: {**record, "answer": record["answers"]}).official_split()


def learn(given):
    train, val, _ = read(given.data)
    with script.on(given):
        image, size = script.image_encoder(given, 112)
        question = mm.preprocessing.Text(10_000, length=16)
        answer = mm.preprocessing.Label(votes=3, most_frequent=3000)
        pre = mm.preprocessing.Preprocessor(image=mm.preprocessing.Image(size), question=question, answer=answer)
        pre.adapt(train)
        encoders = {"image": image, "question": mm.encoders.gru(question.num_tokens, 512, embedding_dim=300)}
        task = mm.models.VisualQuestionAnswering(
            encoders, mm.layers.CoAttention(512), answers=answer.classes, soft=True, hidden_dim=1024, preprocessor=pre
        )
        task.compile(keras.optimizers.AdamW(5e-4))
    grouped = {"group_by": "image", "group_size": 4}  # a photo is encoded once for four questions
    batches = pre.dataset(train, given.batch_size, **grouped)
    held_out = pre.dataset(val, given.batch_size, shuffle=False, **grouped)
    callbacks = script.callbacks(given)
    task.fit(batches, validation_data=held_out, epochs=given.epochs, callbacks=callbacks, verbose=2)
    task.save(given.out.with_suffix(".keras"))


def main(arguments=None):
    given = script.flags(__doc__, "answerer", epochs=12, batch_size=64).parse_args(arguments)
    if given.ask is None:
        return learn(given)
    photo, question = given.ask.split(":", 1)
    print(keras.saving.load_model(given.out.with_suffix(".keras")).answer(photo, question))
    return None


if __name__ == "__main__":
    main()
