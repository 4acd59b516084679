"""Pictures of trainings and nets: curves, confusion matrices, filters, feature maps, images with titles.

Each function returns the matplotlib figure and, given a path, writes it there in one step. They never touch
`pyplot` or the screen, so they work without a display and leave a script's own figures alone. matplotlib is
needed (`pip install 'cnnx[cli]'`); tensors, arrays and nested lists are taken alike.
"""

from __future__ import annotations

from cnnx.plot.confusion import confusion_matrix as confusion_matrix
from cnnx.plot.grid import images as images
from cnnx.plot.grid import overlays as overlays
from cnnx.plot.layers import feature_maps as feature_maps
from cnnx.plot.layers import filters as filters
from cnnx.plot.lines import curves as curves
from cnnx.plot.lines import lr_range as lr_range

__all__ = ["confusion_matrix", "curves", "feature_maps", "filters", "images", "lr_range", "overlays"]
