"""SavedModels written by hand, whose answers are known without any of our code.

`half_plus_two` has the signatures of TensorFlow Serving's own test model of that name.
"""

import tensorflow as tf


def predict_half(plus):
    """y = x / 2 + plus, as Predict, Classify and Regress."""

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = tf.Variable(0.5), tf.Variable(float(plus))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def predict(self, x):
            return {"y": self.a * x + self.b}

        def _parsed(self, examples):
            return tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def classify(self, inputs):
            x = self._parsed(inputs)
            return {
                "classes": tf.concat([tf.where(x < 0, "low", "high"), tf.fill(tf.shape(x), "ü")], axis=1),
                "scores": tf.concat([self.a * x + self.b, x], axis=1),
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def regress(self, inputs):
            return {"outputs": self.a * self._parsed(inputs) + self.b}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def scores_alone(self, inputs):
            return {"scores": self._parsed(inputs)}

    model = Model()
    return model, {
        "serving_default": model.predict,
        "classify_x_to_y": model.classify,
        "regress_x_to_y": model.regress,
        "scores_alone": model.scores_alone,
    }


METHODS = {
    "classify_x_to_y": "tensorflow/serving/classify",
    "scores_alone": "tensorflow/serving/classify",
    "regress_x_to_y": "tensorflow/serving/regress",
}


def words():
    """The words of texts, padded to the most of any text of a batch, as our heads pad; and every awkward type."""

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def split(self, text):
            found = tf.strings.split(text)
            lengths = tf.ragged.map_flat_values(tf.strings.length, found)
            return {
                "word": found.to_tensor(""),
                "length": lengths.to_tensor(-1),
                "share": tf.cast(lengths, tf.float32).to_tensor(0.0),
                "count": tf.cast(found.row_lengths(), tf.int32),
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def rows(self, text):  # several rows a text, and whose they are
            found = tf.strings.split(text)
            return {"word": found.values, "owner": tf.cast(found.value_rowids(), tf.int32)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def loose(self, text):  # as many rows as there are words, and nothing that tells so
            return {"word": tf.strings.split(text).values}

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.string, name="text"),
                tf.TensorSpec([None], tf.string, name="other"),
            ]
        )
        def pair(self, text, other):
            return {"joined": tf.strings.join([text, other], "+")}

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.int32, name="whole"),
                tf.TensorSpec([None], tf.bool, name="yes"),
                tf.TensorSpec([None, 2], tf.float64, name="real"),
                tf.TensorSpec([], tf.int64, name="times"),
            ]
        )
        def types(self, whole, yes, real, times):
            return {
                "sum": tf.reduce_sum(whole) * tf.cast(times, tf.int32),
                "no": tf.logical_not(yes),
                "real": real * 2,
                "raw_bytes": tf.constant([b"\xff\x00", b"a"]),
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="turns")])
        def busy(self, turns):  # as long as one likes
            most = tf.reduce_max(turns)
            done = tf.while_loop(lambda i: i < most, lambda i: [i + 1], [tf.constant(0, tf.int64)])
            return {"turns": tf.fill(tf.shape(turns), done[0])}

    model = Model()
    return model, {
        "serving_default": model.split,
        "rows": model.rows,
        "loose": model.loose,
        "pair": model.pair,
        "types": model.types,
        "busy": model.busy,
    }


def write(made, folder):
    """Save a model with its signatures, the methods of Classify and Regress included."""
    model, functions = made
    tf.saved_model.save(model, str(folder), signatures=functions)
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(folder))
    named = [name for name in functions if name in METHODS]
    for name in named:
        updater.replace_method_name(signature_key=name, method_name=METHODS[name])
    if named:
        updater.save()
    return folder
