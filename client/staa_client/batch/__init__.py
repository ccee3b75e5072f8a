"""Asks for many videos; keeps the answers in a file, so that an interrupted run can go on later."""

from staa_client.batch.plan import BatchItem

__all__ = ["BatchItem"]
