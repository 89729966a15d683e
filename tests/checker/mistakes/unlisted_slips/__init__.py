"""List slips that no catalogue of mistakes has: whole statements, as learners write them."""

from . import in_functions, in_modules
from .slip import FILES, Slip

__all__ = ["FILES", "SLIPS", "Slip"]

SLIPS = [*in_modules.SLIPS, *in_functions.SLIPS]
