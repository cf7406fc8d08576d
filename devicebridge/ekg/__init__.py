"""EKG: the live trace, recordings, and their pictures and exports. Nothing here filters or interprets a sample."""
