"""Where the model's files are found, and what they say."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_model import SEQUENCE_LENGTH, write_model
from tokenizers import Tokenizer

from penstock.embedding import model_files, recipe
from penstock.embedding.model import LocalModel, load_tokenizer, locate_model
from penstock.errors import InvalidSettings, ModelUnavailable
from penstock.settings import EmbeddingSettings, load_settings

needs_default_model = pytest.mark.skipif(
    find_spec(model_files.DEFAULT_MODEL_PACKAGE) is None, reason="install penstock[model]"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny")


def located(model: Path | str, **fields: object) -> LocalModel:
    return locate_model(EmbeddingSettings.model_validate({"model": str(model)} | fields))


def rewrite(file: Path, content: object) -> None:
    file.write_text(json.dumps(content))


class TestFolder:
    def test_says_what_its_files_say(self, folder: Path) -> None:
        model = located(folder)
        assert model.name == "tiny"
        assert model.revision == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:12]
        assert (model.dimensions, model.pooling, model.query_prompt) == (32, "mean", "")
        assert (model.max_tokens, model.special_tokens) == (SEQUENCE_LENGTH - 2, 2)

    def test_other_weights_are_another_revision(self, folder: Path) -> None:
        before = located(folder).revision
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
        os.utime(weights, ns=(1, 1))
        assert located(folder).revision != before

    @pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
    def test_a_missing_file_is_named(self, folder: Path, missing: str) -> None:
        (folder / missing).unlink()
        with pytest.raises(ModelUnavailable, match=f"lacks {missing}"):
            located(folder)

    def test_a_folder_that_is_not_there_is_not_asked_of_the_hub(self, tmp_path: Path) -> None:
        with pytest.raises(ModelUnavailable, match="not there"):
            located(tmp_path / "nowhere")

    def test_without_optional_files_a_bert_is_mean_pooled_over_all_positions(self, folder: Path) -> None:
        for name in ("1_Pooling/config.json", "modules.json", "sentence_bert_config.json", "tokenizer_config.json"):
            (folder / name).unlink()
        model = located(folder)
        assert (model.pooling, model.max_tokens) == ("mean", 38)

    def test_pools_as_its_configuration_says(self, tmp_path: Path) -> None:
        assert located(write_model(tmp_path / "cls", pooling="cls_token")).pooling == "cls"

    def test_an_unknown_way_to_pool_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelUnavailable, match="pooling_mode_weightedmean_tokens"):
            located(write_model(tmp_path / "odd", pooling="weightedmean_tokens"))

    def test_an_unknown_step_is_refused(self, folder: Path) -> None:
        rewrite(folder / "modules.json", [{"type": "sentence_transformers.models.Dense"}])
        with pytest.raises(ModelUnavailable, match="Dense"):
            located(folder)

    def test_takes_the_query_prompt(self, folder: Path) -> None:
        rewrite(folder / "config_sentence_transformers.json", {"prompts": {"query": "search: ", "document": ""}})
        assert located(folder).query_prompt == "search: "

    @pytest.mark.parametrize("damaged", ["config.json", "tokenizer.json"])
    def test_a_damaged_file_is_named(self, folder: Path, damaged: str) -> None:
        (folder / damaged).write_text("{")
        with pytest.raises(ModelUnavailable, match=damaged):
            located(folder)

    def test_a_lower_limit_may_be_set_and_a_higher_one_not(self, folder: Path) -> None:
        assert located(folder, max_tokens=20).max_tokens == 20
        with pytest.raises(InvalidSettings, match=r"PENSTOCK_EMBEDDING_MAX_TOKENS is 29: tiny takes .* at most 28"):
            located(folder, max_tokens=29)


def test_the_tokenizer_neither_pads_nor_cuts(folder: Path) -> None:
    text = "w1 " * 50
    published = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert len(published.encode(text).ids) == 8
    assert len(load_tokenizer(folder / "tokenizer.json").encode(text).ids) == 52


@needs_default_model
class TestDefaultModel:
    def test_is_the_published_one_and_is_never_imported(self) -> None:
        model = located("all-MiniLM-L6-v2")
        assert (model.name, model.dimensions, model.max_tokens) == ("all-MiniLM-L6-v2", 384, 254)
        assert model_files.DEFAULT_MODEL_SHA256.startswith(model.revision)
        assert model_files.DEFAULT_MODEL_PACKAGE not in sys.modules

    def test_has_one_name_however_it_is_asked_for(self) -> None:
        assert located("sentence-transformers/all-MiniLM-L6-v2") == located("all-MiniLM-L6-v2")

    def test_other_weights_in_its_place_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(model_files, "DEFAULT_MODEL_SHA256", "0" * 64)
        with pytest.raises(ModelUnavailable, match="not the published"):
            located("all-MiniLM-L6-v2")


LOCATE = """
import sys
from penstock.embedding.model import locate_model
from penstock.errors import ModelUnavailable
from penstock.settings import EmbeddingSettings
try:
    model = locate_model(EmbeddingSettings(model=sys.argv[1]))
    print(model.name, model.folder.name)
except ModelUnavailable as error:
    print(error)
"""


@pytest.mark.slow
class TestHub:
    """In a process of its own, because the hub's library reads its environment when it is imported."""

    @pytest.fixture
    def cache(self, tmp_path: Path, folder: Path) -> Path:
        """As the hub's library lays it out."""
        repository = tmp_path / "cache" / "models--owner--tiny"
        shutil.copytree(folder, repository / "snapshots" / "abc123")
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("abc123")
        return tmp_path / "cache"

    def locate(self, model: str, cache: Path, **environment: str) -> str:
        variables = {"HF_HUB_CACHE": str(cache), "HF_ENDPOINT": "http://127.0.0.1:9", **environment}
        done = subprocess.run(
            [sys.executable, "-c", LOCATE, model],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout.strip()

    def test_a_cached_model_needs_no_network(self, cache: Path) -> None:
        assert self.locate("owner/tiny", cache) == "owner/tiny abc123"
        assert self.locate("owner/tiny", cache, HF_HUB_OFFLINE="1") == "owner/tiny abc123"

    def test_a_cached_model_that_is_not_whole_is_not_used(self, cache: Path) -> None:
        (cache / "models--owner--tiny/snapshots/abc123/model.safetensors").unlink()
        assert "abc123 lacks model.safetensors" in self.locate("owner/tiny", cache)

    @pytest.mark.parametrize("environment", [{}, {"HF_HUB_OFFLINE": "1"}])
    def test_what_was_tried_and_what_to_do(self, tmp_path: Path, environment: dict[str, str]) -> None:
        message = self.locate("owner/absent", tmp_path, **environment)
        for part in ("owner/absent is not to be found", "not a folder", "model hub", "PENSTOCK_EMBEDDING_URL"):
            assert part in message

    def test_a_name_that_the_hub_cannot_have(self, tmp_path: Path) -> None:
        assert "is not to be found" in self.locate("a b//c", tmp_path)


class TestRecipe:
    def test_cuts_to_what_the_model_takes(self, folder: Path) -> None:
        made = recipe(load_settings({"PENSTOCK_EMBEDDING_MODEL": str(folder)}))
        assert (made.tokenizer_file, made.max_tokens, made.overlap_tokens) == (folder / "tokenizer.json", 28, 0)

    def test_cuts_shorter_where_asked(self, folder: Path) -> None:
        made = recipe(
            load_settings(
                {
                    "PENSTOCK_EMBEDDING_MODEL": str(folder),
                    "PENSTOCK_CHUNKING_MAX_TOKENS": "20",
                    "PENSTOCK_CHUNKING_OVERLAP_TOKENS": "5",
                }
            )
        )
        assert (made.max_tokens, made.overlap_tokens) == (20, 5)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("CHUNKING_MAX_TOKENS", "29"), ("EMBEDDING_MAX_TOKENS", "29"), ("CHUNKING_OVERLAP_TOKENS", "28")],
    )
    def test_never_longer_than_the_model_takes(self, folder: Path, name: str, value: str) -> None:
        with pytest.raises(InvalidSettings, match="PENSTOCK_"):
            recipe(load_settings({"PENSTOCK_EMBEDDING_MODEL": str(folder), f"PENSTOCK_{name}": value}))

    def test_a_remote_model_is_counted_by_the_tokenizer_that_is_named(self, folder: Path) -> None:
        remote = {
            "PENSTOCK_EMBEDDING_URL": "http://host/v1",
            "PENSTOCK_EMBEDDING_TOKENIZER": str(folder / "tokenizer.json"),
        }
        assert recipe(load_settings(remote)).max_tokens == 510
        assert recipe(load_settings(remote | {"PENSTOCK_EMBEDDING_MAX_TOKENS": "2000"})).max_tokens == 2000

    def test_a_named_tokenizer_that_is_not_there(self) -> None:
        remote = {"PENSTOCK_EMBEDDING_URL": "http://host/v1", "PENSTOCK_EMBEDDING_TOKENIZER": "/nowhere.json"}
        with pytest.raises(ModelUnavailable, match=r"/nowhere\.json"):
            recipe(load_settings(remote))

    @needs_default_model
    def test_a_remote_model_is_counted_by_the_default_tokenizer(self) -> None:
        made = recipe(load_settings({"PENSTOCK_EMBEDDING_URL": "http://host/v1"}))
        assert made.tokenizer_file.is_file()
