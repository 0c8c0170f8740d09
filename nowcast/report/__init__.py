"""The report of a verification: one HTML file with everything in it, for `nowcast verify --report`."""

from nowcast.report.page import check_target, write_report

__all__ = ["check_target", "write_report"]
