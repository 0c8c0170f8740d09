"""The archive store: its schema, protocols, units and geography."""
