"""Knowledge flows only down: base < checksum < format, base < io, all of them < engine.

Reads the #include lines, the link lines beside them, and Python's import statements.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CPP = ROOT / "cpp"
BINDINGS = ROOT / "python" / "bindings"
PACKAGE = ROOT / "python" / "tensorbundle"

# What each layer may include, besides itself.
USES = {
    "base": set(),
    "checksum": {"base"},
    "format": {"base", "checksum"},
    "io": {"base"},
    "engine": {"base", "checksum", "format", "io"},
}
FRAMEWORKS = {"torch", "jax", "jaxlib", "keras", "tensorflow", "safetensors", "transformers"}


def includes(path):
    """Give the paths that a file includes; whether in quotes or in angle brackets."""
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def sources(directory):
    """Give all C++ files below a directory."""
    found = [p for p in directory.rglob("*") if p.suffix in {".h", ".cc", ".cpp", ".hpp"}]
    assert found, f"no sources below {directory}"
    return sorted(found)


def layer_of(included):
    first = included.split("/")[0]
    return first if first in USES and "/" in included else None


def test_the_core_has_exactly_these_layers():
    assert {p.name for p in CPP.iterdir() if p.is_dir()} == set(USES)


@pytest.mark.parametrize("layer", USES)
def test_a_layer_includes_only_what_lies_below_it(layer):
    wrong = [
        f"{path.relative_to(ROOT)} includes {included}"
        for path in sources(CPP / layer)
        for included in includes(path)
        if layer_of(included) not in {None, layer} | USES[layer]
    ]
    assert wrong == []


@pytest.mark.parametrize("layer", USES)
def test_a_layer_is_linked_to_what_it_may_include(layer):
    text = re.sub(r"#.*", "", (CPP / layer / "CMakeLists.txt").read_text())
    (call,) = re.findall(rf"tensorbundle_layer\(\s*{layer}\b([^)]*)\)", text)
    _, _, used = call.partition("USES")
    assert set(used.split()) == USES[layer]
    for target in re.findall(r"target_link_libraries\(([^)]*)\)", text):
        assert set(re.findall(r"\btensorbundle_(\w+)", target)) <= {layer} | USES[layer]


@pytest.mark.parametrize("layer", USES)
def test_every_source_is_built(layer):
    text = (CPP / layer / "CMakeLists.txt").read_text()
    for path in sources(CPP / layer):
        assert path.suffix == ".h" or path.name in text, f"{path} is in no library"


def test_the_core_does_not_know_python():
    wrong = [
        f"{path.relative_to(ROOT)} includes {included}"
        for path in sources(CPP)
        for included in includes(path)
        if re.match(r"pybind11|Python\.h|numpy|bindings/", included)
    ]
    assert wrong == []


def test_own_headers_are_included_by_their_path_from_the_root():
    wrong = [
        f"{path.relative_to(ROOT)} includes {included}"
        for path in [*sources(CPP), *sources(BINDINGS)]
        for included in re.findall(r'#include "([^"]+)"', path.read_text())
        if not any((root / included).is_file() for root in (CPP, ROOT / "python"))
    ]
    assert wrong == []


def test_only_the_bindings_know_pybind11():
    others = [p for p in ROOT.rglob("*.cc") if {"cpp", "bindings"} & set(p.parts)]
    with_pybind11 = {p for p in others if any("pybind11" in line for line in includes(p))}
    assert with_pybind11
    assert all(BINDINGS in p.parents for p in with_pybind11)


def test_only_one_file_makes_exceptions_of_statuses():
    setters = {
        path.name for path in sources(BINDINGS) if "PyErr_SetObject" in path.read_text()
    }
    assert setters == {"errors.cc"}


def test_the_core_throws_nothing():
    # Where threads start, what the standard library throws becomes a Status.
    converts = "cpp/engine/thread_pool.cc"
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources(CPP)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(
            r"\bthrow\b"
            if str(path.relative_to(ROOT)) == converts
            else r"\b(throw|catch|try)\b",
            re.sub(r'//.*|"[^"]*"', "", line),
        )
    ]
    assert wrong == []


# ---- Python ---------------------------------------------------------------------------------


def imports(path):
    """Give what a module imports, anywhere in it, types included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def modules():
    found = sorted(PACKAGE.rglob("*.py"))
    assert len(found) > 10
    return found


def is_home(path, framework):
    """Tell whether a module is the framework's own adapter, or a part of it."""
    return path.parts[0] == "frameworks" and path.parts[1] in (framework, f"{framework}.py")


def test_only_a_frameworks_own_module_imports_it():
    # The command line's demo runs the same work through other libraries, side by side.
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules()
        for name in imports(path)
        if name.split(".")[0] in FRAMEWORKS
        and path.relative_to(PACKAGE).parts[0] != "cli"
        and not is_home(path.relative_to(PACKAGE), name.split(".")[0])
    ]
    assert wrong == []


def test_only_one_module_imports_the_extension():
    doors = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if "tensorbundle._core" in set(imports(path))
    }
    assert doors == {"core.py"}


def test_the_library_does_not_know_its_command_line():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules()
        for name in imports(path)
        if name.startswith(("tensorbundle.cli", "rich"))
        and path.relative_to(PACKAGE).parts[0] not in ("cli", "__main__.py")
    ]
    assert wrong == []


def test_the_library_depends_on_nothing_but_numpy_and_its_dtypes():
    import sys

    # tomli is what tomllib was before Python 3.11.
    allowed = sys.stdlib_module_names | {"tensorbundle", "numpy", "ml_dtypes", "tomli"}
    allowed |= {"tomllib"}
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules()
        for name in imports(path)
        if name.split(".")[0] not in allowed
        and path.relative_to(PACKAGE).parts[0] not in ("cli", "frameworks")
    ]
    assert wrong == []
