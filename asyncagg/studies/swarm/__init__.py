"""Scenarios drawn from seeds, played, judged by invariants, and shrunk where they break one."""
