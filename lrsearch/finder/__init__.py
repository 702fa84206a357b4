"""Learning-rate range tests (Smith 2017, arXiv:1506.01186, section 3.3), for anybody's training loop; numpy only."""

from .call import range_test
from .reading import read, smooth
from .rules import RULES
from .sweep import STOP_FACTOR, rates_of, swept

__all__ = ["RULES", "STOP_FACTOR", "range_test", "rates_of", "read", "smooth", "swept"]
