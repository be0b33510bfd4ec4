"""Functions and files stay small enough to be read; each exception is listed with its reason."""

import ast
import functools
import statistics
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src/pertura"
FILE_LINES, FUNCTION_LINES, PARAMETERS = 400, 60, 6
DRAWERS = {"utils", "util", "helpers", "helper", "common", "base", "misc", "tools", "stuff", "shared"}
VERBS = ("get_", "do_", "handle", "process_", "manage")

# path::function -> reason
EXCEPTIONS = {
    "cli/annotate.py::annotate": "one parameter for each flag of the command",
    "cli/inspect.py::inspect": "one parameter for each flag of the command",
    "cli/split.py::split": "one parameter for each flag of the command",
    "cli/compare.py::compare": "one parameter for each flag of the command",
    "cli/convert.py::convert": "one parameter for each flag of the command",
    "cli/embed.py::embed": "one parameter for each flag of the command",
    "cli/predict.py::predict": "one parameter for each flag of the command",
    "cli/import_.py::tenx": "one parameter for each flag of the command",
    "models/scgpt/foreign.py::load_foreign": "one keyword for each thing that a published folder does not tell",
    "cli/prepare.py::prepare": "one parameter for each flag of the command",
    "cli/quality.py::quality": "one parameter for each flag of the command",
    "cli/screen.py::screen": "one parameter for each flag of the command",
    "cli/design.py::design": "one parameter for each flag of the command",
    "cli/run.py::run": "one parameter for each flag of the command",
    "cli/evaluate.py::evaluate": "one parameter for each flag of the command",
    "data/splits/held_out.py::held_out_context_and_gene": "one parameter for each option of the rule",
    "nn/pooling.py::__init__": "one parameter for each thing that published networks do differently",
    "nn/set_attention.py::__init__": "one parameter for each thing that published networks do differently",
    "prediction/predict.py::predict": "what, of whom, with which seed, emitter and counts: each has a default but four",
}


@functools.cache
def functions() -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append((f"{path.relative_to(SOURCE)}::{node.name}", node))
    return found


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def parameters_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    named = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([one for one in named if one not in ("self", "cls")])


def test_files_are_short():
    long = {str(one.relative_to(SOURCE)): len(one.read_text().splitlines()) for one in SOURCE.rglob("*.py")}
    assert {name: lines for name, lines in long.items() if lines > FILE_LINES} == {}


def test_functions_are_short():
    long = {name: lines_of(node) for name, node in functions() if lines_of(node) > FUNCTION_LINES}
    assert {name: lines for name, lines in long.items() if name not in EXCEPTIONS} == {}


def test_the_median_function_has_at_most_ten_lines():
    assert statistics.median(lines_of(node) for _, node in functions()) <= 10


def test_functions_take_few_parameters():
    many = {name: parameters_of(node) for name, node in functions() if parameters_of(node) > PARAMETERS}
    assert {name: count for name, count in many.items() if name not in EXCEPTIONS} == {}


@pytest.mark.parametrize("name", sorted(EXCEPTIONS))
def test_each_exception_is_still_needed(name):
    node = dict(functions())[name]
    assert lines_of(node) > FUNCTION_LINES or parameters_of(node) > PARAMETERS


def test_every_parameter_is_typed():
    bare = []
    for name, node in functions():
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        bare += [f"{name}({one.arg})" for one in arguments if one.annotation is None and one.arg not in ("self", "cls")]
    assert bare == []


def test_no_drawer_modules():
    assert [str(one) for one in SOURCE.rglob("*") if one.stem in DRAWERS] == []


def test_no_function_is_named_for_doing_something():
    assert [name for name, _ in functions() if name.rpartition("::")[2].lstrip("_").startswith(VERBS)] == []
