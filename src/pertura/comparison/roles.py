"""What the name of a model says of the prior it was given: `BASE+PRIOR[~CONTROL][+expression]`.

`ridge+go-c`: the model `ridge` with the prior `go-c`. `ridge+go-c~permuted1`: with a control of that prior, of the
kind `permuted` and the seed 1. `ridge+go-c+expression`: with the prior and what training shows of the genes. Such
names are folders on every file system and need no quotes in a shell.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

ControlKind = Literal["random", "permuted"]
CONTROLS: tuple[ControlKind, ...] = ("random", "permuted")
EXPRESSION = "+expression"
NONE = "train-mean"
"""What a baseline with a prior must beat to have gained anything from it: it knows the train screen and no gene."""
_NAME = re.compile(
    r"(?P<base>[^+]+)\+(?P<prior>.+?)(?:~(?P<control>random|permuted)(?P<seed>0|[1-9]\d{0,8}))?(?P<both>\+expression)?"
)


@dataclass(frozen=True, slots=True)
class Role:
    """A model with a prior. `control` is empty for the prior itself; `run` stands before a name of several runs."""

    base: str
    prior: str
    control: ControlKind | Literal[""] = ""
    seed: int = 0
    with_expression: bool = False
    run: str = ""

    @property
    def name(self) -> str:
        """The name of the model."""
        control = f"~{self.control}{self.seed}" if self.control else ""
        return f"{self.run}{self.base}+{self.prior}{control}{EXPRESSION if self.with_expression else ''}"

    @property
    def itself(self) -> "Role":
        """The role of the prior that this one is a control of."""
        return replace(self, control="", seed=0)


def role_of(model: str) -> Role | None:
    """Return what a name says; None for a model without a prior."""
    run, slash, own = model.rpartition("/")
    found = _NAME.fullmatch(own)
    if found is None:
        return None
    kind: ControlKind | Literal[""] = next((one for one in CONTROLS if one == found["control"]), "")
    seed = int(found["seed"]) if kind else 0
    return Role(found["base"], found["prior"], kind, seed, bool(found["both"]), run + slash)


def is_control(model: str) -> bool:
    """Whether a model was given a control in place of a prior: it is there to be beaten, never to head a report."""
    role = role_of(model)
    return role is not None and bool(role.control)
