"""`kbz serve`: its options; what it serves, see tests/serving/server."""

import pytest
from command_line import refused


@pytest.fixture
def folder(tmp_path):
    for name in ("mood", "tags"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "1" / "saved_model.pb").write_bytes(b"")
    return tmp_path


def test_what_cannot_be_served(tmp_path, folder):
    assert "there is no such folder" in refused("serve", tmp_path / "none")
    assert "is one version of a model. Serve the model:" in refused("serve", folder / "mood" / "1")
    (tmp_path / "empty").mkdir()
    assert "kbz export RUN --to" in refused("serve", tmp_path / "empty")
    assert "Missing argument 'FOLDER...'" in refused("serve", exit_code=2)
    assert "[MODEL:]LABEL=VERSION, such as stable=1" in refused("serve", folder, "--label", "stable", exit_code=2)
    assert "write --label MODEL:stable=1" in refused("serve", folder, "--label", "stable=1", exit_code=2)
    assert "0 is not in the range" in refused("serve", folder, "--keep", "0", exit_code=2)
    assert "cannot share port 8765" in refused("serve", folder, "--port", "8765", "--grpc-port", "8765")
