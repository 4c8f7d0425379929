"""What watches a process that serves: log, metrics, health; told by an `Observer`'s calls."""
