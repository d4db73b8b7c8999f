"""The shape of a BERT, checked when it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from keras_bert_zoo.errors import ConfigError

# "gelu" means erf in Hugging Face and tanh in Google's code, so the plain word is not accepted here.
ACTIVATIONS = ("gelu_erf", "gelu_tanh", "relu", "silu", "tanh", "linear")

_HF_ACTIVATIONS = {
    "gelu": "gelu_erf",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
    "linear": "linear",
}
_GOOGLE_ACTIVATIONS = {"gelu": "gelu_tanh", "relu": "relu", "tanh": "tanh", "linear": "linear"}

# Keys of published config.json files that change nothing about the encoder's graph.
_HF_IGNORED = frozenset(
    """
    _attn_implementation_autoset _name_or_path _num_labels architectures bad_words_ids begin_suppress_tokens
    bos_token_id chunk_size_feed_forward classifier_dropout cross_attention_hidden_size decoder_start_token_id
    directionality diversity_penalty do_sample dtype early_stopping encoder_no_repeat_ngram_size eos_token_id
    exponential_decay_length_penalty finetuning_task forced_bos_token_id forced_eos_token_id
    gradient_checkpointing id2label is_encoder_decoder label2id language length_penalty
    max_length min_length model_type name no_repeat_ngram_size num_beam_groups num_beams num_labels
    num_return_sequences output_attentions output_hidden_states output_past output_scores pad_token_id
    pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type prefix
    problem_type remove_invalid_values repetition_penalty return_dict return_dict_in_generate
    sep_token_id suppress_tokens task_specific_params temperature tf_legacy_loss tie_encoder_decoder
    tie_word_embeddings tokenizer_class top_k top_p torch_dtype torchscript transformers_version typical_p
    use_bfloat16 use_cache
    """.split()
)
# Keys that would change the graph: only the value that means plain BERT is accepted.
_HF_FIXED: dict[str, Any] = {
    "is_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
    "pruned_heads": {},
}
_GOOGLE_IGNORED = frozenset(
    "directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head"
    " pooler_type".split()
)


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """Everything that shapes a BERT encoder, under Hugging Face's names.

    Defaults are BERT-base, uncased.  `hidden_act` is one of `ACTIVATIONS`.  `pooler` says whether the
    encoder has the tanh layer over the first token.  `pad_token_id` is remembered for the files we write.

    Raises: ConfigError where a value cannot make a model.
    Source: Devlin et al. 2019, section 3; google-research/bert modeling.py BertConfig.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu_erf"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    pooler: bool = True

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"BertConfig: {name} is {value!r}, it must be a whole number of at least 1.")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value < 1:
                raise ConfigError(f"BertConfig: {name} is {value!r}, it must be a number from 0 up to (not with) 1.")
        for name in ("initializer_range", "layer_norm_eps"):
            value = getattr(self, name)
            if not _is_number(value) or not value > 0:
                raise ConfigError(f"BertConfig: {name} is {value!r}, it must be a number above 0.")
        if isinstance(self.pad_token_id, bool) or not isinstance(self.pad_token_id, int):
            raise ConfigError(f"BertConfig: pad_token_id is {self.pad_token_id!r}, it must be a whole number.")
        if not isinstance(self.pooler, bool):
            raise ConfigError(f"BertConfig: pooler is {self.pooler!r}, it must be true or false.")
        if self.hidden_act not in ACTIVATIONS:
            hint = " Say gelu_erf (Hugging Face's gelu) or gelu_tanh (Google's)." if self.hidden_act == "gelu" else ""
            raise ConfigError(
                f"BertConfig: hidden_act is {self.hidden_act!r}, it must be one of {', '.join(ACTIVATIONS)}.{hint}"
            )
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"BertConfig: hidden_size {self.hidden_size} cannot be divided by num_attention_heads"
                f" {self.num_attention_heads}. Choose sizes that divide without a rest."
            )

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def parameters(self) -> int:
        """How many weights the encoder has, with its pooler if there is one."""
        d, f = self.hidden_size, self.intermediate_size
        tables = (self.vocab_size + self.max_position_embeddings + self.type_vocab_size) * d + 2 * d
        block = 4 * (d * d + d) + (d * f + f) + (f * d + d) + 2 * 2 * d
        return tables + self.num_hidden_layers * block + self.pooler * (d * d + d)

    def replace(self, **changes: Any) -> BertConfig:
        """Return a copy with some fields changed, checked again."""
        return BertConfig.from_dict({**self.to_dict(), **changes})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, `hidden_act` in our words."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BertConfig:
        """Build from our own field names.  Raises: ConfigError on a key that is not a field."""
        _refuse_unknown(values, _FIELDS, "BertConfig")
        return cls(**values)

    @classmethod
    def from_huggingface(cls, values: Mapping[str, Any], where: str = "config.json", pooler: bool = True) -> BertConfig:
        """Build from a parsed Hugging Face `config.json`; `where` names the file in errors.

        Raises: ConfigError on another model type, an unknown key, or a value that plain BERT has no place for.
        """
        if values.get("model_type", "bert") != "bert":
            raise ConfigError(f"{where}: model_type is {values['model_type']!r}, only 'bert' can be read.")
        for name, only in _HF_FIXED.items():
            if values.get(name, only) != only:
                raise ConfigError(f"{where}: {name} is {values[name]!r}, this encoder is plain BERT: {only!r} only.")
        _refuse_unknown(values, _HF_KEYS | _HF_IGNORED | set(_HF_FIXED), where)
        return cls._translated(values, _HF_KEYS, _HF_ACTIVATIONS, where, pooler)

    @classmethod
    def from_google(cls, values: Mapping[str, Any], where: str = "bert_config.json") -> BertConfig:
        """Build from a parsed Google `bert_config.json` (its gelu is the tanh form, its epsilon 1e-12).

        Raises: ConfigError on an unknown key or an activation Google's code does not know.
        """
        _refuse_unknown(values, _GOOGLE_KEYS | _GOOGLE_IGNORED, where)
        return cls._translated(values, _GOOGLE_KEYS, _GOOGLE_ACTIVATIONS, where, pooler=True)

    @classmethod
    def _translated(
        cls, values: Mapping[str, Any], keys: Iterable[str], acts: Mapping[str, str], where: str, pooler: bool
    ) -> BertConfig:
        kept = {name: values[name] for name in keys if name in values}
        act = kept.get("hidden_act", "gelu")
        if act not in acts:
            raise ConfigError(f"{where}: hidden_act is {act!r}, it must be one of {', '.join(acts)}.")
        if kept.get("pad_token_id", 0) is None:
            del kept["pad_token_id"]
        try:
            return cls(**{**kept, "hidden_act": acts[act], "pooler": pooler})
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None

    def to_huggingface(self) -> dict[str, Any]:
        """Return the keys a Hugging Face `config.json` has for the encoder (`pooler` has no place there)."""
        acts = {ours: theirs for theirs, ours in reversed(_HF_ACTIVATIONS.items())}
        values = {name: value for name, value in self.to_dict().items() if name in _HF_KEYS}
        return {
            "model_type": "bert",
            **values,
            "hidden_act": acts[self.hidden_act],
            "position_embedding_type": "absolute",
        }

    def to_google(self) -> dict[str, Any]:
        """Return a Google `bert_config.json`.

        Raises: ConfigError where that format has no word for a field (erf GELU, SiLU, another epsilon).
        """
        acts = {ours: theirs for theirs, ours in _GOOGLE_ACTIVATIONS.items()}
        if self.hidden_act not in acts:
            raise ConfigError(f"hidden_act {self.hidden_act!r} cannot be said in bert_config.json ({', '.join(acts)}).")
        if self.layer_norm_eps != 1e-12:  # modeling.py fixes it
            raise ConfigError(f"layer_norm_eps {self.layer_norm_eps} cannot be said in bert_config.json (1e-12 only).")
        values = {name: value for name, value in self.to_dict().items() if name in _GOOGLE_KEYS}
        return {**values, "hidden_act": acts[self.hidden_act]}


_FIELDS = frozenset(field.name for field in dataclasses.fields(BertConfig))
_HF_KEYS = _FIELDS - {"pooler"}
_GOOGLE_KEYS = _HF_KEYS - {"layer_norm_eps", "pad_token_id"}
_COUNTS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _refuse_unknown(values: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(
            f"{where}: unknown key{'s'[: len(unknown) > 1]} {', '.join(unknown)}."
            " Nothing is ignored silently: take it out if it does not change the model."
        )


def huggingface_dropout(raw: Mapping[str, Any]) -> float:
    """Return the dropout before the head that a `config.json` means."""
    own = raw.get("classifier_dropout")
    return raw.get("hidden_dropout_prob", 0.1) if own is None else own
