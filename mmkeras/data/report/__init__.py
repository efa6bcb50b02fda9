"""What is in records: looked at, reported and cleaned."""

from mmkeras.data.report.clean import clean
from mmkeras.data.report.data_report import DataReport
from mmkeras.data.report.inspect import inspect

__all__ = ["DataReport", "clean", "inspect"]
