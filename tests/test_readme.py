"""The README's snippets run as printed, and what it says of flags, files and the Space is so."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app import make_parser

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.S)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda code: code.split("\n", 1)[0])
def test_snippets_run_as_printed(snippet: str, app_url: str) -> None:
    code = snippet.replace("http://127.0.0.1:7860/", app_url.rstrip("/") + "/")
    assert code != snippet, "a snippet talks to the running app"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=170, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


def test_there_is_a_snippet_for_every_endpoint() -> None:
    endpoints = "recommend rank compare steer what_if purchases_that_matter faithfulness report search_catalog domains"
    assert all(f'api_name="/{name}"' in README for name in endpoints.split())


def flags_of(module: str) -> set[str]:
    parser = importlib.import_module(module).make_parser()
    return {option for action in parser._actions for option in action.option_strings}


COMMANDS = re.findall(r"python -m (training\.\w+)(.*)", README.replace("\\\n", " "))


def test_every_flag_that_the_readme_names_exists() -> None:
    prose = re.sub(r"```bash\n.*?```", "", README, flags=re.S)
    known = flags_of("app").union(*(flags_of(module) for module, _ in COMMANDS))
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", prose))
    assert named and named <= known | {"--build-arg"}


@pytest.mark.parametrize("module, rest", [c for c in COMMANDS if "--" in c[1]], ids=lambda part: part.split()[0])
def test_every_command_of_the_readme_takes_its_flags(module: str, rest: str) -> None:
    line = rest.split("#")[0].split("`")[0]
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", line)) <= flags_of(module)


def test_every_flag_has_an_environment_variable() -> None:
    text = make_parser().format_help()
    for action in make_parser()._actions:
        if action.dest != "help":
            assert "[env: SLIM_" in action.help, action.option_strings
    assert "127.0.0.1" in text


def test_a_flag_takes_its_default_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIM_PORT", "8123")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    args = make_parser().parse_args([])
    assert (args.port, args.host) == (8123, "0.0.0.0")
    monkeypatch.setenv("SLIM_HOST", "127.0.0.2")
    assert make_parser().parse_args([]).host == "127.0.0.2"


def test_the_space_configuration_fits_the_requirements() -> None:
    front = README.split("---")[1]
    value = {k: v.strip().strip('"') for k, v in re.findall(r"^(\w+): (.+)$", front, re.M)}
    assert value["sdk"] == "gradio" and (ROOT / value["app_file"]).is_file()
    assert f"gradio[mcp]>={value['sdk_version'].rsplit('.', 1)[0]}" in (ROOT / "requirements.txt").read_text("utf-8")
    assert len(value["short_description"]) <= 60


def test_every_file_of_the_tree_exists() -> None:
    tree = README.split("## The tree")[1].split("```")[1]
    for name in re.findall(r"(?<![\w*])([\w/]+\.py)\b", tree):
        assert (ROOT / name).is_file() or list((ROOT / "slim_app").rglob(name)), name
