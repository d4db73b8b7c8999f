"""The estimate of a run, held against the graphs TensorFlow traces, NVIDIA's published runs, and figures by hand."""

import json
import math

import pytest
from sizes import BATCH, HEADS, HIDDEN, INNER, LAYERS, POSITIONS, TIME, TYPES, VOCAB

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.estimate import DEVICES, SIZES, Run, counts, estimate, find_config, find_device, measured
from keras_bert_zoo.estimate.counts import Batch

TINY = BertConfig(
    vocab_size=VOCAB,
    hidden_size=HIDDEN,
    num_hidden_layers=LAYERS,
    num_attention_heads=HEADS,
    intermediate_size=INNER,
    max_position_embeddings=POSITIONS,
    type_vocab_size=TYPES,
)
LARGE = SIZES["bert-large"]


def whole(length, rows=1):
    return Batch(rows, length, rows * length)


# ---- counts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "encoder", "pretraining"),
    [
        # Hugging Face's BertModel and BertForPreTraining of these sizes, by their num_parameters()
        ("bert-base", 109_482_240, 110_106_428),
        ("bert-large", 335_141_888, 336_226_108),
        ("minilm_l6_h384_uncased", 22_713_216, None),
        ("all-MiniLM-L6-v2", 22_713_216, None),
    ],
)
def test_parameters_of_known_models(name, encoder, pretraining):
    assert find_config(name).parameters == encoder
    if pretraining:
        assert counts.parameters(find_config(name), "pretraining") == pretraining


@pytest.mark.parametrize("pooler", [True, False])
def test_parameters_are_those_keras_counts(pooler):
    from keras_bert_zoo.encoder import build_encoder

    config = TINY.replace(pooler=pooler)
    assert config.parameters == build_encoder(config).count_params()


def test_operations_are_those_of_tensorflows_graphs():
    """A classifier's forward pass and its gradient: every matrix product that TensorFlow traces, by its shapes."""
    import keras
    import tensorflow as tf

    import keras_bert_zoo as kbz

    encoder = kbz.build_encoder(TINY)  # whole, as the law counts it: a pooled head would skip most of the last block
    model = keras.Model(encoder.input, keras.layers.Dense(2)(encoder.output["pooled_output"]))
    names = ("input_word_ids", "input_mask", "input_type_ids")

    def forward(*given):
        return model(dict(zip(names, given, strict=True)), training=False)

    def gradient(*given):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(forward(*given) ** 2)
        return tape.gradient(loss, [v.value for v in model.trainable_variables])

    def count(function):
        ids = [tf.TensorSpec([BATCH, TIME], tf.int32, name=name) for name in names]
        total = 0
        for node in tf.function(function).get_concrete_function(*ids).graph.get_operations():
            if "Einsum" in node.type or "MatMul" in node.type:
                flipped = node.get_attr("transpose_a" if node.type == "MatMul" else "adj_x")
                inner = node.inputs[0].shape[-2 if flipped else -1]
                total += 2 * node.outputs[0].shape.num_elements() * inner
        return total

    batch = whole(TIME, BATCH)
    assert counts.step_flops(TINY, batch, "inference").total == count(forward)
    assert counts.step_flops(TINY, batch, "finetuning").total == count(gradient)


def test_operations_by_hand():
    flops = counts.forward_flops(TINY, Batch(rows=5, length=7, tokens=31), "pretraining")
    assert flops.dense == 2 * 31 * 3 * (4 * 12 * 12 + 2 * 12 * 37)
    assert flops.attention == 2 * 5 * 3 * 2 * 7 * 7 * 12
    predicted = 2  # of 7 tokens: 0.15 · 7 = 1.05
    assert flops.heads == 2 * 5 * (12 * 12 + predicted * (12 * 12 + 12 * 99) + 12 * 2)
    again = counts.step_flops(TINY, Batch(5, 7, 31), "pretraining", rematerialize=True)
    assert (again.dense, again.attention, again.heads) == (4 * flops.dense, 4 * flops.attention, 3 * flops.heads)


def test_predictions_are_those_of_the_original_recipe():
    assert counts.predictions(128) == 20  # google-research/bert, README: max_predictions_per_seq
    assert counts.predictions(512) == 77


def test_how_work_grows():
    """Dense layers grow with the tokens, attention with tokens times length; width counts twice in dense layers."""
    one, long = (counts.forward_flops(LARGE, whole(length), "inference") for length in (128, 512))
    assert long.dense == 4 * one.dense
    assert long.attention == 16 * one.attention
    wide = LARGE.replace(hidden_size=2048, intermediate_size=8192, num_attention_heads=32)
    assert counts.forward_flops(wide, whole(128), "inference").dense == 4 * one.dense
    assert counts.forward_flops(wide, whole(128), "inference").attention == 2 * one.attention


def test_memory_by_hand(monkeypatch):
    monkeypatch.setattr(measured, "KEPT", measured.Kept(hidden=11.0, inner=6.5, score=2.5, back=1.25))
    n = counts.parameters(TINY, "finetuning")
    block = 31 * (11 * 12 + 6.5 * 37) + 2.5 * 5 * 4 * 7 * 7
    back = 1.25 * (31 * 37 + 5 * 4 * 7 * 7)
    batch = Batch(5, 7, 31)
    full = counts.memory(TINY, batch, "finetuning", "float32")
    assert (full.weights, full.gradients, full.optimizer) == (4 * n, 4 * n, 8 * n)
    assert full.activations == (3 * block + back) * 4
    assert full.total == 16 * n + (3 * block + back) * 4
    assert counts.memory(TINY, batch, "finetuning", "float32", True).activations == (3 * 31 * 12 + block + back) * 4
    mixed = counts.memory(TINY, batch, "finetuning", "mixed_bfloat16")
    assert (mixed.weights, mixed.optimizer, mixed.activations) == (4 * n, 8 * n, (3 * block + back) * 2)
    half = counts.memory(TINY, batch, "inference", "bfloat16")
    assert (half.weights, half.gradients, half.optimizer) == (2 * n, 0, 0)
    assert half.activations == (block + 31 * 12) * 2
    masked = counts.memory(TINY, batch, "pretraining", "bfloat16").activations
    assert masked == (3 * block + back) * 2 + 3 * 5 * 2 * 99 * 4


def test_rings():
    n = counts.parameters(TINY, "pretraining")
    assert counts.all_reduce_bytes(TINY, "pretraining", "mixed_bfloat16", 8) == 2 * 7 / 8 * n * 4
    assert counts.all_reduce_bytes(TINY, "pretraining", "bfloat16", 1) == 0
    assert counts.all_reduce_bytes(TINY, "inference", "float32", 8) == 0


# ---- whole runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "precision", "length", "devices", "rows_a_second"),
    [
        # NVIDIA DeepLearningExamples, TensorFlow2/LanguageModeling/BERT/README.md: BERT-large, pre-training
        ("a100-80gb", "mixed_float16", 128, 1, 485.59),
        ("a100-80gb", "mixed_float16", 512, 1, 96.52),
        ("a100-80gb", "float32", 128, 1, 282.98),
        ("a100-80gb", "float32", 512, 1, 54.92),
        ("a100-80gb", "mixed_float16", 128, 256, 110_280.73),
        ("a100-80gb", "mixed_float16", 512, 256, 22_506.23),
        ("v100", "mixed_float16", 128, 1, 206.5),
        ("v100", "mixed_float16", 512, 1, 40.95),
        ("v100", "float32", 128, 1, 49.97),
        ("v100", "float32", 512, 1, 11.06),
    ],
)
def test_published_speeds_are_met_within_a_quarter(device, precision, length, devices, rows_a_second):
    rows = 79_872 if length == 128 else 30_720
    run = Run(LARGE, rows * length, length=length, batch_size=rows, precision=precision)
    found = estimate(run, DEVICES[device], devices)
    assert found.steps == 1
    assert rows / found.seconds == pytest.approx(rows_a_second, rel=0.25)


def test_a_run_by_hand():
    device = find_device("a100-40gb", peak=200e12, memory=1e9, price=3.0)
    run = Run(LARGE, 3.2e9, length=100, batch_size=64, precision="bfloat16")
    found = estimate(run, device, 16, utilization=0.25)
    assert (found.steps, found.rows, found.busy) == (500_000, 4, 16)
    share = counts.step_flops(LARGE, whole(100, 4), "pretraining").total
    assert found.flops.total == pytest.approx(share * 16 * 500_000)
    assert found.compute_seconds == pytest.approx(500_000 * share / 50e12)
    sent = 2 * 15 / 16 * 336_226_108 * 2
    assert found.communication_seconds == pytest.approx(500_000 * sent / 25e9)  # two nodes: the network's speed
    assert found.cost == pytest.approx(16 * 3 * found.seconds / 3600)
    assert not found.fits
    assert found.fitting_rows == 0
    one_node = estimate(run, device, 8, utilization=0.25)
    assert one_node.communication_seconds == pytest.approx(500_000 * 2 * 7 / 8 * 336_226_108 * 2 / 300e9)


def test_the_rows_that_fit_are_the_most_that_fit():
    run = Run(LARGE, 1e9)
    device = DEVICES["a100-40gb"]
    most = estimate(run, device, 1).fitting_rows

    def need(rows):
        return counts.memory(LARGE, whole(512, rows), run.task, run.precision).total

    assert need(most) <= 0.9 * device.memory < need(most + 1)
    again = estimate(Run(LARGE, 1e9, rematerialize=True), device, 1)
    assert again.fitting_rows > 2 * most
    assert again.compute_seconds > estimate(run, device, 1).compute_seconds


def test_more_accelerators_than_rows():
    found = estimate(Run(LARGE, 1e9, batch_size=48), DEVICES["tpu-v4"], 64)
    assert (found.rows, found.busy) == (1, 48)
    assert found.cost == pytest.approx(64 * 3.22 * found.seconds / 3600)


def test_padding():
    full, padded, packed = (
        Run(LARGE, 6.4e6, length=100, batch_size=10, filled=filled, layout=layout)
        for filled, layout in ((1.0, "padded"), (0.25, "padded"), (0.25, "packed"))
    )
    assert (full.steps, padded.steps, packed.steps) == (6_400, 25_600, 25_600)
    device = DEVICES["h100"]
    totals = [estimate(run, device, 1).flops for run in (full, padded, packed)]
    assert totals[1].dense == 4 * totals[0].dense
    assert totals[2].dense == totals[0].dense
    assert totals[2].attention == totals[1].attention == 4 * totals[0].attention


def test_the_processor_follows_its_law(monkeypatch):
    monkeypatch.setattr(measured, "TRAINING", measured.Law(block=3.0, flop=5.0, element=7.0, score=11.0, weight=13.0))
    monkeypatch.setattr(measured, "FORWARD", measured.Law(block=2.0, flop=4.0, element=6.0, score=8.0, weight=0.0))
    run = Run(TINY, 35, task="finetuning", length=7, batch_size=5, precision="float32")
    flops = counts.step_flops(TINY, whole(7, 5), "finetuning").total
    scores, elements = 5 * 3 * 4 * 7 * 7, 35 * 3 * (12 + 37)
    updated = counts.parameters(TINY, "finetuning")
    want = 3 * 3 + 5 * flops + 7 * elements + 11 * scores + 13 * updated
    assert estimate(run, DEVICES["cpu"], 1).seconds == pytest.approx(want)
    again = Run(TINY, 35, task="finetuning", length=7, batch_size=5, precision="float32", rematerialize=True)
    flops_again = counts.step_flops(TINY, whole(7, 5), "finetuning", True).total
    forward = counts.step_flops(TINY, whole(7, 5), "inference").total
    once_more = 2 * 3 + 4 * forward + 6 * elements + 8 * scores
    assert estimate(again, DEVICES["cpu"], 1).seconds == pytest.approx(want + once_more)
    assert flops_again > flops
    asked = Run(TINY, 35, task="inference", length=7, batch_size=5, precision="float32")
    assert estimate(asked, DEVICES["cpu"], 1).seconds == pytest.approx(once_more)


def test_measured_constants_are_sensible():
    assert 1e11 < 1 / measured.FORWARD.flop < 1e12  # operations a second of two cores
    assert measured.TRAINING.flop > 0
    assert measured.KEPT.inner >= 1


# ---- names and what may be wrong ------------------------------------------------------------------------------------


def test_a_config_in_a_folder(tmp_path):
    config = TINY.replace(hidden_act="gelu_tanh")
    (tmp_path / "config.json").write_text(json.dumps(config.to_huggingface()))
    assert find_config(str(tmp_path)) == find_config(str(tmp_path / "config.json")) == config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "config.json cannot be read as JSON: "),
        (b"\xff", "config.json cannot be read as JSON: "),
        (b"[1]", "config.json holds a JSON list, not an object."),
        (b'{"model_type": "gpt2"}', "model_type is 'gpt2', only 'bert' can be read."),
    ],
)
def test_a_bad_config(tmp_path, content, message):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        find_config(str(tmp_path))


def test_an_unknown_config(tmp_path):
    with pytest.raises(ConfigError, match=r"'bert-lrge' is not known here. Did you mean bert-large"):
        find_config("bert-lrge")
    with pytest.raises(ConfigError, match=r"config.json does not exist\. Name a folder that holds a config.json\."):
        find_config(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "training"}, "task is 'training', it must be one of pretraining, finetuning, inference."),
        ({"precision": "int8"}, "precision is 'int8', it must be one of float32, mixed_bfloat16, "),
        ({"layout": "ragged"}, "layout is 'ragged', it must be one of padded, packed."),
        ({"tokens": 0}, "tokens is 0, it must be a number above 0"),
        ({"tokens": math.nan}, "tokens is nan, it must be a number above 0"),
        ({"filled": 1.5}, "filled is 1.5, it must be above 0 and at most 1"),
        ({"batch_size": 0}, "batch_size is 0, it must be at least 1."),
        ({"length": 513}, "length is 513, but the model has 512 positions."),
        ({"task": "inference", "rematerialize": True}, "rematerialize saves memory in training"),
    ],
)
def test_what_makes_no_run(change, message):
    with pytest.raises(ConfigError, match=message):
        Run(**{"config": LARGE, "tokens": 1e9, **change})


@pytest.mark.parametrize(
    ("name", "figures", "message"),
    [
        ("a10", {}, "There is no device 'a10'. Did you mean v100"),
        ("h100", {"peak": 0.0}, "peak is 0.0, it must be a number above 0."),
        ("h100", {"memory": -1.0}, "memory is -1.0, it must be a number above 0."),
        ("h100", {"price": -1.0}, "price is -1.0, it must be a number of at least 0"),
        ("cpu", {"peak": 1e12}, "The time of 'cpu' follows a law that was measured, no peak"),
    ],
)
def test_what_makes_no_device(name, figures, message):
    with pytest.raises(ConfigError, match=message):
        find_device(name, **figures)


def test_what_cannot_be_estimated():
    run = Run(LARGE, 1e9)
    with pytest.raises(ConfigError, match=r"devices is 0, it must be at least 1"):
        estimate(run, DEVICES["h100"], 0)
    with pytest.raises(ConfigError, match="utilization is 2, it must be above 0 and at most 1"):
        estimate(run, DEVICES["h100"], 1, utilization=2)
    with pytest.raises(ConfigError, match="v100 does not multiply in bfloat16: take --precision float32 or mixed_fl"):
        estimate(run, DEVICES["v100"], 1)
    with pytest.raises(ConfigError, match="The law of 'cpu' was measured on one machine"):
        estimate(Run(LARGE, 1e9, precision="float32"), DEVICES["cpu"], 2)
