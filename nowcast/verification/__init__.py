"""Verification of anybody's forecast file: statistics of pairs, aggregates that add up, scores of the totals."""

from nowcast.verification.evaluation import verify
from nowcast.verification.report import print_table, save, summary_row

__all__ = ["print_table", "save", "summary_row", "verify"]
