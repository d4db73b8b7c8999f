"""The house: who may import whom, how long a file may be, and what a bare import costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import keras_bert_zoo as kbz
from keras_bert_zoo import weights

PACKAGE = Path(kbz.__file__).parent
# From the ground up: a room imports from lower floors, and from rooms of its own floor only where NEIGHBOURS says so.
FLOORS = [
    {"_version", "errors", "stopping"},
    {"answers", "config", "files"},
    {"layers", "text", "data", "weights", "zoo", "estimate"},
    {"encoder", "rematerialization", "training"},
    {"heads"},
    {"bundle"},
    {"card", "conversion", "pretraining", "recipe", "seeds"},
    {"serving"},
    {"quickstart", "benchmark"},
    {"cli"},
    {"__init__"},
]
NEIGHBOURS = {("data", "zoo"), ("estimate", "zoo"), ("data", "text"), ("training", "encoder"), ("recipe", "card")}
NEIGHBOURS |= {("pretraining", "card"), ("training", "rematerialization"), ("seeds", "card"), ("seeds", "recipe")}
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(module):
    return module.split(".")[1] if "." in module else "__init__"


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(tree, inside_functions):
    """Yield every import that runs: all of them, or only those that run when the module is imported."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        if is_type_checking(node):
            todo += node.orelse
        elif inside_functions or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            todo += ast.iter_child_nodes(node)


def imports(module, inside_functions=True):
    """Return the full names of the modules that a module imports."""
    found = set()
    for node in statements(ast.parse(FILES[module].read_text(encoding="utf-8")), inside_functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"{module}: a relative import"
            for alias in node.names:  # `from package import module` names a module too
                full = f"{node.module}.{alias.name}"
                found.add(full if full in FILES else node.module)
    return found


def ours(module, **options):
    return {name for name in imports(module, **options) if name.split(".")[0] == "keras_bert_zoo"}


@pytest.mark.parametrize("module", FILES)
def test_imports_point_downward(module):
    here = room(module)
    assert here in FLOOR, f"{module}: give its room '{here}' a place in FLOORS"
    for name in ours(module):
        there = room(name)
        if there != here and (here, there) not in NEIGHBOURS:
            assert FLOOR[there] < FLOOR[here], f"{module} imports {name}, which lies above or beside it"


def test_no_cycles():
    graph = {module: ours(module, inside_functions=False) - {module} for module in FILES}
    while graph:
        free = {module for module, needs in graph.items() if not needs & set(graph)}
        assert free, f"a cycle among {sorted(graph)}"
        graph = {module: needs for module, needs in graph.items() if module not in free}


def test_heads_and_formats_never_import_one_another():
    formats = set(weights.FORMATS.values())
    for module in FILES:
        if room(module) == "heads" and module != "keras_bert_zoo.heads":
            others = {name for name in ours(module) if room(name) == "heads"} - {module}
            # `language` is no head: it is what the three heads of pretraining share
            assert others <= {"keras_bert_zoo.heads.head", "keras_bert_zoo.heads.language"}, module
        if module in formats:
            assert not (ours(module) & formats) - {module}, module


@pytest.mark.parametrize("module", [name for name in FILES if room(name) in ("config", "layers", "encoder", "heads")])
def test_models_need_keras_alone(module):
    assert not {name for name in imports(module, inside_functions=False) if name.split(".")[0] == "tensorflow"}
    if room(module) != "heads":  # a head imports TensorFlow inside pack and decode
        assert not {name for name in imports(module) if name.split(".")[0].startswith("tensorflow")}


@pytest.mark.parametrize("module", FILES)
def test_a_file_can_be_read_in_one_go(module):
    assert len(FILES[module].read_text(encoding="utf-8").splitlines()) <= 320


@pytest.mark.parametrize("module", FILES)
def test_errors_are_caught_by_name(module):
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler) and ast.unparse(node.body[-1]) != "raise":  # cleaning up is fine
            caught = ast.unparse(node.type) if node.type else ""
            assert caught not in ("", "Exception", "BaseException"), f"{module}, line {node.lineno}"


def test_a_bare_import_is_quick():
    script = (
        "import sys, keras_bert_zoo, keras_bert_zoo.cli;"
        "print([n for n in ('tensorflow', 'keras', 'numpy', 'jax') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert run.stdout.strip() == "[]"


def test_the_public_names():
    assert dir(kbz) == [
        "BertConfig",
        "Bundle",
        "Phase",
        "Recipe",
        "Tokenizer",
        "__version__",
        "adamw",
        "build_encoder",
        "convert",
        "data",
        "errors",
        "export_encoder",
        "export_saved_model",
        "finetune",
        "finetune_seeds",
        "heads",
        "layers",
        "learn_vocabulary",
        "load",
        "pretrain",
        "rematerialize",
        "save",
        "serving",
        "strategy",
        "text",
        "weights",
        "with_layout",
        "write_pretraining_data",
        "zoo",
    ]
    for name in dir(kbz):
        assert getattr(kbz, name) is not None
    # A file of the same name would stand in the function's place once anybody has imported it.
    files = {path.stem for path in PACKAGE.iterdir()}
    assert {name for name in dir(kbz) if name in files} == {
        "data",
        "errors",
        "heads",
        "layers",
        "serving",
        "text",
        "weights",
        "zoo",
    }
    with pytest.raises(AttributeError, match="'keras_bert_zoo' has no attribute 'Berd'"):
        _ = kbz.Berd
