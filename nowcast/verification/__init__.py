"""Verification of anybody's forecast file: statistics of pairs, aggregates that add up, scores of the totals.

`verify` gives scores, `states` the sums that they are taken from, which `merge_states` adds over files and workers. A
metric is a function of the totals in the file of its family and one line in `table.METRICS`; tests hold every line to
the contract in `contract`.

A check for whoever has SEVIR: persistence (`nowcast forecast persistence`) under the protocol sevir-384-13-12 has, over
its 12,159 test windows, CSI-M 0.26945 lead-averaged and 0.26152 pooled, and MSE 0.0115286 on [0, 1].
"""

from nowcast.verification.files import check_target, merge_states, save, save_states
from nowcast.verification.pairs import open_pairs
from nowcast.verification.scores import scores_of
from nowcast.verification.tables import print_table, summary_row
from nowcast.verification.verify import states, verify

__all__ = [
    "check_target",
    "merge_states",
    "open_pairs",
    "print_table",
    "save",
    "save_states",
    "scores_of",
    "states",
    "summary_row",
    "verify",
]
