"""The engine that turns any reader's events into a store."""
