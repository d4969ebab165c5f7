"""The shared floor: contracts, tasks, measures, the store, the experiment and the report."""

__version__ = "0.1.0"
