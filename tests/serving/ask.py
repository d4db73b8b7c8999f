"""Run as a script in a process of its own: asks exported models in every way a stranger can.

    python ask.py FRESH_PROCESS_PY < jobs.json > answers.json

`jobs` is a list of [folder, "tf2" or "tf1", signature, columns]; {"b64": ...} among the columns' values stands for
bytes.  This package is never imported.
"""

import base64
import importlib.util
import json
import sys

spec = importlib.util.spec_from_file_location("fresh_process", sys.argv[1])
fresh = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fresh)

answers = []
jobs = json.load(sys.stdin, object_hook=lambda given: base64.b64decode(given["b64"]) if "b64" in given else given)
for folder, loader, signature, columns in jobs:
    answer = {"tf2": fresh.ask_tf2, "tf1": fresh.ask_tf1}[loader](folder, signature, columns)
    listed = {name: (v.numpy() if hasattr(v, "numpy") else v).tolist() for name, v in answer.items()}
    answers.append({name: fresh.plain(values) for name, values in listed.items()})
assert not [name for name in sys.modules if name.startswith(("keras_bert_zoo", "tokenizers", "transformers"))]
json.dump(answers, sys.stdout)
