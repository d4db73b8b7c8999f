"""What is shipped: the wheel's files, the sdist's files, and the wheel at work in an environment of its own."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import keras_bert_zoo as kbz

ROOT = Path(kbz.__file__).parents[1]
NAME = f"keras_bert_zoo-{kbz.__version__}"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build both from a copy of the sources, so that no build folder is left behind; return their paths."""
    root = tmp_path_factory.mktemp("dist")
    sources = root / "sources"
    made = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "saved_models")
    shutil.copytree(ROOT, sources, ignore=made)
    # `make dist` without its isolation: the build backend is already here, nothing is downloaded.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", root, sources]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return root / f"{NAME}-py3-none-any.whl", root / f"{NAME}.tar.gz"


def package_files():
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "keras_bert_zoo").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built[0]) as wheel:
        files = {name for name in wheel.namelist() if not name.endswith("/")}
        metadata = wheel.read(f"{NAME}.dist-info/METADATA").decode()
    own = {name for name in files if not name.startswith(f"{NAME}.dist-info/")}
    assert own == package_files()
    assert "keras_bert_zoo/py.typed" in own
    assert [name for name in own if name.startswith("keras_bert_zoo/text/assets/")]
    assert f"{NAME}.dist-info/licenses/LICENSE" in files
    assert "Requires-Python: <3.14,>=3.11" in metadata
    assert "\nLicense: Apache-2.0\n" in metadata
    assert "# keras-bert-zoo" in metadata  # the README is the page of the package


def test_the_sdist_holds_what_builds_it(built):
    with tarfile.open(built[1]) as sdist:
        files = {member.name.removeprefix(f"{NAME}/") for member in sdist if member.isfile()}
    assert package_files() <= files
    assert {"setup.cfg", "pyproject.toml", "README.md", "LICENSE"} <= files


SCRIPT = """
import sys, keras_bert_zoo as kbz
print(kbz.__file__)
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "caf\\u00e9", "cafe", "film", "\\u5317"]
print(kbz.Tokenizer(words).tokenize(["Caf\\u00c9 \\uff26ilm film", "\\u5317\\u5317"]).to_list())
"""


def test_the_wheel_at_work(built, tmp_path):
    environment = tmp_path / "env"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    # Empty but for the dependencies, which are those of the tests: 600 MB stay where they are.
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*install, "--force-reinstall", built[0]], check=True)
    assert (site / "keras_bert_zoo" / "py.typed").is_file()

    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*command):
        done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run(environment / "bin" / "kbz", "--version") == f"kbz, version {kbz.__version__}\n"
    where, ids = run(python, "-c", SCRIPT).splitlines()
    assert Path(where) == site / "keras_bert_zoo" / "__init__.py"  # the installed one, not this checkout
    # lower-cased and without accents; full-width F is no f to the original
    assert ids == "[[6, 1, 7], [8, 8]]"
