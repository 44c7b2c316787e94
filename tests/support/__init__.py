"""What several test modules share: data on disk, oracles, harnesses. No tests."""
