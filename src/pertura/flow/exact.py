"""Optimal transport without regularisation, on the CPU."""

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment, linprog
from torch import Tensor


def exact_plan(cost: Float[Tensor, "*groups sources targets"]) -> Float[Tensor, "*groups sources targets"]:
    """Return the cheapest plan between uniform masses; among several equally cheap ones any."""
    flat = cost.reshape(-1, *cost.shape[-2:]).double().cpu().numpy()
    solve = _assigned if flat.shape[1] == flat.shape[2] else _programmed
    plans = np.stack([solve(one) for one in flat])
    return torch.from_numpy(plans).to(cost).reshape(cost.shape)


def _assigned(cost: Float[np.ndarray, "cells cells"]) -> Float[np.ndarray, "cells cells"]:
    """Between equally many cells of equal mass some permutation is optimal (Birkhoff)."""
    plan = np.zeros_like(cost)
    plan[linear_sum_assignment(cost)] = 1 / len(cost)
    return plan


def _programmed(cost: Float[np.ndarray, "sources targets"]) -> Float[np.ndarray, "sources targets"]:
    n, m = cost.shape
    rows = sp.kron(sp.eye(n), np.ones((1, m)))
    columns = sp.kron(np.ones((1, n)), sp.eye(m))
    masses = np.concatenate([np.full(n, 1 / n), np.full(m, 1 / m)])
    found = linprog(cost.ravel(), A_eq=sp.vstack([rows, columns], format="csr"), b_eq=masses, method="highs")
    return np.maximum(found.x, 0.0).reshape(n, m)
