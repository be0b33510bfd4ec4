"""Which rule stands behind which name."""

from pertura.models.baselines.additive import Additive
from pertura.models.baselines.context_mean import ContextMean
from pertura.models.baselines.depth import Depth
from pertura.models.baselines.linear import Linear
from pertura.models.baselines.matching_mean import MatchingMean
from pertura.models.baselines.nearest_neighbours import NearestNeighbours
from pertura.models.baselines.no_change import NoChange
from pertura.models.baselines.perturbation_mean import PerturbationMean
from pertura.models.baselines.ridge import Ridge
from pertura.models.baselines.rule import DeltaRule
from pertura.models.baselines.target_only import TargetOnly
from pertura.models.baselines.train_mean import TrainMean

RULES: dict[str, type[DeltaRule]] = {
    "no-change": NoChange,
    "train-mean": TrainMean,
    "context-mean": ContextMean,
    "perturbation-mean": PerturbationMean,
    "additive": Additive,
    "matching-mean": MatchingMean,
    "target-only": TargetOnly,
    "depth": Depth,
    "linear": Linear,
    "ridge": Ridge,
    "nearest-neighbours": NearestNeighbours,
}


def name_of(rule: DeltaRule) -> str:
    """Return the name under which a rule is listed."""
    return next(name for name, kind in RULES.items() if type(rule) is kind)
