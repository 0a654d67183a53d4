

markerCustomMarkerOp