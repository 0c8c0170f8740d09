"""Maps, panels, curves and animations."""
