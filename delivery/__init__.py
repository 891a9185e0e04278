"""Registry, release manifest, endpoints."""
