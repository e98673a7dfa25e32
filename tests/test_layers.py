"""The layers of docs/design.md, held by reading the imports; and that imports are cold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "fastswap"
LEVEL = {
    "errors": 0,
    "storage": 0,
    "progress": 0,
    "device": 0,
    "workers": 0,
    "flow": 0,
    "streams": 0,
    "signals": 0,
    "kernels": 1,
    "ops": 2,
    "faces": 3,
    "video": 3,
    "models": 4,
    "faceset": 4,
    "quality": 5,
    "extraction": 6,
    "training": 6,
    "conversion": 6,
    "evaluation": 7,
    "cluster": 7,
    "demo": 8,
    "bench": 8,
    "doctor": 9,
    "cli": 9,
    "__main__": 10,
}
MAY_SHARE_A_LEVEL = {("cli", "doctor")}
HEAVY = ("triton", "cupy", "numba", "nvidia.dali", "av", "ray")


def _modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_every_room_has_a_level() -> None:
    rooms = {_room(path) for path in _modules()} - {"__init__", "kernels"}
    assert rooms <= set(LEVEL), f"rooms without a place in the layers: {rooms - set(LEVEL)}"


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    room = _room(path)
    if room == "__init__":
        return
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != "fastswap" or len(parts) < 2 or parts[1] not in LEVEL:
            continue
        other = parts[1]
        if other == room or (room, other) in MAY_SHARE_A_LEVEL or LEVEL[other] == 0:
            continue
        assert LEVEL[other] < LEVEL[room], f"{path.relative_to(PACKAGE)} imports {name}: {room} is not above {other}"


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "kernels").resolve().rglob("*.py")), ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_kernels_stand_alone(path: Path) -> None:
    own = re.match(r"_?[a-z]+", path.stem)[0]  # _triton, also of _triton_draw.py: an implementation in several files
    for name in _imports(path):
        assert not name.startswith("fastswap.") or name.startswith("fastswap.kernels."), f"{path} imports {name}"
        if name.startswith("fastswap.kernels."):
            other = name.split(".")[3]
            alone = other == "reference" or other.startswith(own)
            assert alone, f"{path}: one implementation never imports another, got {name}"


def test_imports_are_cold() -> None:
    """Every module imports in a fresh process in which the optional packages are blocked."""
    names = [
        "fastswap." + str(path.relative_to(PACKAGE).with_suffix("")).replace("/", ".").removesuffix(".__init__")
        for path in _modules()
        if _room(path) not in ("__init__", "kernels") and not path.stem.endswith(("_numba", "_dali"))
    ]
    script = f"""
import sys
for name in {HEAVY!r}:
    sys.modules[name] = None
import importlib
for name in {names!r}:
    importlib.import_module(name)
loaded = [name for name in ("matplotlib", "tensorboard", "pyarrow", "skimage", "dlib") if name in sys.modules]
assert not loaded, f"imported before it was needed: {{loaded}}"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""
