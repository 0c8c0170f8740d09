"""Verification of anybody's forecast file: statistics of pairs, aggregates that add up, scores of the totals."""

from nowcast.verification.evaluation import states, verify
from nowcast.verification.files import merge_states, save, save_states
from nowcast.verification.report import print_table, summary_row
from nowcast.verification.scores import scores_of

__all__ = ["merge_states", "print_table", "save", "save_states", "scores_of", "states", "summary_row", "verify"]
