"""HTTP: webhooks in, an API, and review pages."""
