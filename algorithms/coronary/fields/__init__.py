"""Files of a solved flow, for ParaView and for the browser."""
