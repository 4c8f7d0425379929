"""Tools for testing protocols, for the project's own tests and for yours."""
