"""Help is there for every command and names every option."""

import inspect

import pytest
import typer

from pertura import __version__
from pertura.cli.app import application
from pertura.data.datasets import DATASETS

GROUP = typer.main.get_command(application())
COMMANDS = sorted(GROUP.commands)


def test_the_commands_are_listed_with_the_exit_codes(command):
    done = command("--help")
    assert done.code == 0
    assert all(f" {name} " in done.out for name in COMMANDS)
    assert "130 interrupted" in done.out
    assert command("-h").out == done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_each_help_names_every_option_and_says_what_it_is_for(name, command):
    done = command(name, "--help")
    assert done.code == 0
    for parameter in GROUP.commands[name].params:
        assert (parameter.opts[0] if parameter.param_type_name == "option" else "") in done.out
        assert getattr(parameter, "help", None), f"{name} {parameter.name} has no help"
    says = GROUP.commands[name].help or ""
    assert says, f"{name} does not say what it is for"
    assert " ".join(inspect.cleandoc(says).split(".")[0].split()[:6]) in " ".join(done.out.split())


def test_the_version_is_printed(command):
    assert command("--version").out == f"pertura {__version__}\n"


def test_the_bundled_data_are_listed_with_mode_and_licence(command):
    done = command("data")
    assert done.code == 0
    for entry in DATASETS.values():
        assert f"{entry.name}\n" in done.out
        assert entry.licence in done.out
        assert str(entry.modes[0]) in done.out
