"""Its place makes the helpers beside it importable: `from sizes import VOCAB`."""
