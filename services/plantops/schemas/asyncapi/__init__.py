"""The AsyncAPI document, from what the processes declare."""
