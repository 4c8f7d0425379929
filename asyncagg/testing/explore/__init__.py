"""Every order of events of one small attempt, looked through for violations."""
