"""The comparison harness: the engine timed side by side with the frameworks."""
