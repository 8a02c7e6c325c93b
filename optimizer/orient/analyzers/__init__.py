"""The analyzers, one file each, in the order in which a window is shown to them."""

from optimizer.orient.analyzers.anomaly import AnomalyAnalyzer
from optimizer.orient.analyzers.change_point import ChangePointAnalyzer
from optimizer.orient.analyzers.contract import Analyzer
from optimizer.orient.analyzers.cost import CostAnalyzer
from optimizer.orient.analyzers.drift import DriftAnalyzer
from optimizer.orient.analyzers.pattern import PatternAnalyzer
from optimizer.orient.analyzers.performance import PerformanceAnalyzer
from optimizer.orient.analyzers.quality import QualityAnalyzer
from optimizer.orient.analyzers.saturation import SaturationAnalyzer
from optimizer.orient.analyzers.waste import WasteAnalyzer

ANALYZERS: tuple[Analyzer, ...] = (
    PerformanceAnalyzer(),
    CostAnalyzer(),
    WasteAnalyzer(),
    QualityAnalyzer(),
    SaturationAnalyzer(),
    AnomalyAnalyzer(),
    DriftAnalyzer(),
    ChangePointAnalyzer(),
    PatternAnalyzer(),
)
"""All analyzers; the laws in tests/laws/test_analyzers.py hold for each."""
