"""Adapters to third-party networks and hubs; imported inside loaders only."""
