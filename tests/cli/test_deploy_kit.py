"""The deploy kit, read by the readers it is for: protobuf's text format, YAML, bash."""

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from command_line import kbz, refused
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

from keras_bert_zoo.errors import ConfigError, ExportError
from keras_bert_zoo.serving.configs import IMAGE, deploy_kit, write_deploy_kit
from keras_bert_zoo.serving.figures import FILE

FILES = ["models.config", "batching.config", "monitoring.config", "compose.yaml", "kubernetes.yaml"]
# Of tensorflow_model_server.  Source: tensorflow_serving/model_servers/main.cc.
FLAGS = {
    *("model_config_file", "model_config_file_poll_wait_seconds", "allow_version_labels_for_unavailable_models"),
    *("monitoring_config_file", "rest_api_timeout_in_ms", "enable_batching", "batching_parameters_file"),
}


def proto(name, **fields):
    """Return a message class that is not in tensorflow-serving-api; fields are (number, type or class's full name).

    Source: servables/tensorflow/session_bundle_config.proto, config/monitoring_config.proto.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"test/{name}.proto", package="test", syntax="proto3")
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    message = file.message_type.add(name=name)
    for field, (number, kind) in fields.items():
        if isinstance(kind, str):
            message.field.add(name=field, number=number, type=11, type_name=kind, label=1)
        else:
            message.field.add(name=field, number=number, type=kind, label=1)
    pool = descriptor_pool.Default()
    if name == "MonitoringConfig":
        file.dependency.append("test/PrometheusConfig.proto")
    try:
        found = pool.FindMessageTypeByName(f"test.{name}")
    except KeyError:
        pool.Add(file)
        found = pool.FindMessageTypeByName(f"test.{name}")
    return message_factory.GetMessageClass(found)


def exported(root, name, *versions, head="classification"):
    for version in versions:
        folder = root / name / str(version)
        (folder / FILE).parent.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"x" * 3 * 2**20)
        note = {"format": 1, "head": {"name": head, "config": {}}, "max_length": 9, "tokenizer": {}, "training": None}
        (folder / FILE).write_text(json.dumps(note))
    return root / name


@pytest.fixture
def models(tmp_path):
    exported(tmp_path / "saved models $HOME", "mood", 2, 9, 10)
    exported(tmp_path / "saved models $HOME", "Tags_v1.0", 4)
    return tmp_path / "saved models $HOME"


def served(files):
    """Return {model: (versions, labels)} and the base paths."""
    config = text_format.Parse(files["models.config"], model_server_config_pb2.ModelServerConfig())
    found = {}
    for each in config.model_config_list.config:
        assert each.model_platform == "tensorflow"
        assert each.base_path == f"/models/{each.name}"
        assert each.model_version_policy.WhichOneof("policy_choice") == "specific"
        found[each.name] = (list(each.model_version_policy.specific.versions), dict(each.version_labels))
    return found


def test_versions_and_labels(models):
    assert served(deploy_kit(models)) == {"mood": ([10], {"stable": 10}), "Tags_v1.0": ([4], {"stable": 4})}
    canary = deploy_kit(models, labels={"mood": {"canary": 10}})
    assert served(canary)["mood"] == ([9, 10], {"stable": 9, "canary": 10})
    back = deploy_kit(models / "mood", labels={"mood": {"stable": 9}})
    assert served(back) == {"mood": ([9], {"stable": 9})}  # 10 is taken out: who names no version gets the newest
    kept = deploy_kit(models, labels={"mood": {"stable": 9}}, keep=3)
    assert served(kept)["mood"] == ([2, 9], {"stable": 9})
    both = deploy_kit(models, labels={"Tags_v1.0": {"canary": 4}})
    assert served(both)["Tags_v1.0"] == ([4], {"stable": 4, "canary": 4})


def test_batching_and_metrics(models):
    files = deploy_kit(models)
    count = ".google.protobuf.Int64Value"
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    parameters = proto(
        "BatchingParameters",
        **{name: (number, count) for number, name in enumerate(names, start=1)},
        pad_variable_length_inputs=(7, 8),
    )
    told = text_format.Parse(files["batching.config"], parameters())
    assert told.max_batch_size.value == 256
    assert told.batch_timeout_micros.value == 0
    assert told.num_batch_threads.value >= 1
    assert not told.pad_variable_length_inputs  # it would fill up with the first value
    proto("PrometheusConfig", enable=(1, 8), path=(2, 9))
    monitoring = proto("MonitoringConfig", prometheus_config=(1, ".test.PrometheusConfig"))
    told = text_format.Parse(files["monitoring.config"], monitoring()).prometheus_config
    assert (told.enable, told.path) == (True, "/monitoring/prometheus/metrics")


def flags_of(listed):
    flags = dict(flag.removeprefix("--").split("=") for flag in listed)
    assert set(flags) <= FLAGS
    return flags


def test_compose(models, tmp_path):
    files = deploy_kit(models, beside=tmp_path / "deploy")
    service = yaml.safe_load(files["compose.yaml"])["services"]["serving"]
    assert service["image"] == IMAGE
    assert service["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    mounts = {each["target"]: each["source"] for each in service["volumes"]}
    assert all(each["read_only"] for each in service["volumes"])
    assert mounts == {
        "/models/mood": "../saved models $$HOME/mood",
        "/models/Tags_v1.0": "../saved models $$HOME/Tags_v1.0",
        "/config": ".",
    }
    assert (tmp_path / "deploy" / mounts["/models/mood"].replace("$$", "$")).resolve() == (models / "mood").resolve()
    flags = flags_of(service["command"])
    assert set(flags) == FLAGS
    for name in ("model_config_file", "monitoring_config_file", "batching_parameters_file"):
        assert Path(flags[name]).parent == Path("/config")
        assert Path(flags[name]).name in files
    inside = yaml.safe_load(deploy_kit(models, beside=models)["compose.yaml"])["services"]["serving"]
    assert inside["volumes"][0]["source"] == "./Tags_v1.0"


@pytest.mark.parametrize(("state", "status"), [("AVAILABLE", 0), ("LOADING", 1), (None, 1)])
def test_the_health_check_runs(models, state, status):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"model_version_status": [{"state": state}]}).encode()
            assert self.path == "/v1/models/Tags_v1.0"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    check = yaml.safe_load(deploy_kit(models)["compose.yaml"])["services"]["serving"]["healthcheck"]["test"]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    port = server.server_port
    if state is None:
        server.server_close()
    else:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    assert check[0] == "CMD"
    command = [part.replace("/8501", f"/{port}") for part in check[1:]]
    assert command != check[1:]
    done = subprocess.run(command, check=False, capture_output=True, timeout=20)
    assert (done.returncode != 0) == bool(status), done.stderr
    if state is not None:
        server.shutdown()
        server.server_close()


def test_kubernetes(models):
    files = deploy_kit(models, image="registry.example/serving@sha256:ab")
    config, deployment, service, budget = yaml.safe_load_all(files["kubernetes.yaml"])
    assert [each["kind"] for each in (config, deployment, service, budget)] == [
        *("ConfigMap", "Deployment", "Service", "PodDisruptionBudget")
    ]
    assert {each["metadata"]["name"] for each in (config, deployment, service, budget)} == {"models-serving"}
    assert set(config["data"]) == {"models.config", "batching.config", "monitoring.config"}
    for name, text in config["data"].items():
        assert text.rstrip("\n") == files[name].rstrip("\n")
    pod = deployment["spec"]["template"]
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector == pod["metadata"]["labels"] == service["spec"]["selector"]
    assert selector == budget["spec"]["selector"]["matchLabels"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "registry.example/serving@sha256:ab"
    flags = flags_of(container["args"])
    assert set(flags) == FLAGS
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounts == {"config": "/config", "models": "/models", "tmp": "/tmp"}
    volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
    assert set(volumes) == set(mounts)
    assert volumes["config"]["configMap"]["name"] == "models-serving"
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/v1/models/Tags_v1.0/labels/stable", "port": "rest"}
    assert container["livenessProbe"]["tcpSocket"]["port"] == "grpc"
    stop = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert stop < pod["spec"]["terminationGracePeriodSeconds"]
    assert {each["targetPort"] for each in service["spec"]["ports"]} == set(ports)
    assert pod["metadata"]["annotations"]["prometheus.io/path"] in files["monitoring.config"]
    assert container["resources"]["limits"]["memory"] == "526Mi"  # 512, and twice the 7 of two versions of 3 and notes


def test_names_that_kubernetes_takes(tmp_path):
    for name, want in (("Mood_v1.", "mood-v1-serving"), ("x" * 70, "x" * 40 + "-serving"), ("7", "7-serving")):
        folder = exported(tmp_path, name, 1)
        parts = list(yaml.safe_load_all(deploy_kit(folder)["kubernetes.yaml"]))
        assert parts[1]["metadata"]["name"] == want


def test_lists_are_not_batched(tmp_path):
    folder = exported(tmp_path, "endings", 1, head="multiple_choice")
    files = deploy_kit([folder, exported(tmp_path, "mood", 1)])
    flags = flags_of(yaml.safe_load(files["compose.yaml"])["services"]["serving"]["command"])
    assert set(flags) == FLAGS - {"enable_batching", "batching_parameters_file"}
    why = "Requests are not batched: TensorFlow Serving cannot put together the lists that endings reads."
    assert why in files["compose.yaml"]
    assert why in files["kubernetes.yaml"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": {"mood": {"stable": 3}}}, "there is no version 3 for the label 'stable', there are 10, 9, 2"),
        ({"labels": {"mode": {"stable": 3}}}, r"mode: there is no model of that name, there are Tags_v1\.0, mood"),
        ({"labels": {"mood": {"a/b": 2}}}, "the label 'a/b' must be letters"),
        ({"keep": 0}, "keep is 0, at least 1 version"),
        ({"image": "a b"}, f"The image is 'a b', it must be like {IMAGE}"),
    ],
)
def test_what_makes_no_kit(models, options, words):
    with pytest.raises(ConfigError, match=words):
        deploy_kit(models, **options)


def test_folders_that_make_no_kit(tmp_path):
    with pytest.raises(ExportError, match="there is no such folder"):
        deploy_kit(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="a model's name is letters, digits"):
        deploy_kit(exported(tmp_path, "my mood", 1))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written: .*Choose another folder \(--to\)"):
        write_deploy_kit(tmp_path / "file", {"a": "b"})


def test_the_command(models, tmp_path):
    out = kbz("serve", models / "mood", "--print", "--label", "canary=10").stdout
    assert [line.removeprefix("#### ") for line in out.splitlines() if line.startswith("####")] == FILES
    wrote = kbz("serve", models, "--print", "--to", tmp_path / "deploy", "--label", "mood:canary=10", "--json").stdout
    assert json.loads(wrote) == {"files": [str(tmp_path / "deploy" / name) for name in FILES]}
    files = {name: (tmp_path / "deploy" / name).read_text() for name in FILES}
    assert served(files)["mood"] == ([9, 10], {"stable": 9, "canary": 10})
    assert files == deploy_kit(models, labels={"mood": {"canary": 10}}, beside=tmp_path / "deploy")
    again = kbz("serve", models, "--print", "--to", tmp_path / "deploy", "--image", "x/y:1").stdout
    assert again.splitlines() == [str(tmp_path / "deploy" / name) for name in FILES]
    assert served({"models.config": (tmp_path / "deploy" / FILES[0]).read_text()})["mood"][0] == [10]
    assert json.loads(kbz("serve", models / "mood", "--print", "--json").stdout).keys() == set(FILES)
    assert "give --print too" in refused("serve", models, "--to", tmp_path, exit_code=2)
    assert "give --print too" in refused("serve", models, "--image", "x", exit_code=2)
    assert "no such folder" in refused("serve", tmp_path / "nowhere", "--print")
