"""What a model consists of: `cnnx.summary`, and the table and numbers that it returns."""

from __future__ import annotations

from cnnx.modelinfo.layers import LayerInfo
from cnnx.modelinfo.statistics import ModelStatistics
from cnnx.modelinfo.summary import summary

__all__ = ["LayerInfo", "ModelStatistics", "summary"]
