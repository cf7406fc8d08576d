"""What the daemon answers over HTTP, on loopback only."""
