"""A whole small model: random weights, a vocabulary of letters and some words, made in a second."""

import string

import keras
from sizes import HEADS, HIDDEN, INNER, LAYERS, POSITIONS, TYPES, VOCAB

import keras_bert_zoo as kbz

WORDS = """
    a an the film movie plot actor story scene end it is was not very so and but or of in to with good great fine warm
    funny bad poor dull cold sad awful one two more ##s
""".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = string.ascii_lowercase[1:]  # "a" is among the words
VOCABULARY = [*SPECIAL, *WORDS, *LETTERS, *(f"##{letter}" for letter in string.ascii_lowercase if letter != "s")]
VOCABULARY += [f"[unused{i}]" for i in range(VOCAB - len(VOCABULARY))]

CONFIG = kbz.BertConfig(
    vocab_size=VOCAB,
    hidden_size=HIDDEN,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    intermediate_size=INNER,
    max_position_embeddings=POSITIONS,
    type_vocab_size=TYPES,
    initializer_range=0.3,  # large enough that a wrong weight shows in the answer
)
GOOD = ["a good film", "it was great", "warm and funny", "the plot is fine", "a great story", "very good and funny"]
BAD = ["a bad film", "it was awful", "cold and dull", "the plot is poor", "a sad story", "very bad and so dull"]


def tokenizer() -> kbz.Tokenizer:
    return kbz.Tokenizer(VOCABULARY)


def bundle(head=None, *, seed=3, config=CONFIG, dtype=None) -> kbz.Bundle:
    """Return a bundle with random weights, biases and norms included."""
    keras.utils.set_random_seed(seed)
    made = kbz.Bundle(kbz.build_encoder(config, dtype=dtype), tokenizer(), max_length=config.max_position_embeddings)
    made = made if head is None else made.attach(head)
    for variable in (made.model or made.encoder).trainable_variables:
        if variable.name in ("bias", "beta", "gamma"):
            noise = keras.random.normal(variable.shape, stddev=0.2)
            variable.assign(variable.value + noise)
    return made


def mood_table(copies=1) -> kbz.data.Table:
    """Return sentences whose label follows from one word."""
    texts = (GOOD + BAD) * copies
    labels = (["good"] * len(GOOD) + ["bad"] * len(BAD)) * copies
    return kbz.data.Table.from_lists(texts, labels)
