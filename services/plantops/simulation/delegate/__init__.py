"""A server that carries pump operations out over HTTP, made from the guide and not from the adapter."""
