"""The HTTP gateway: who asks is told from his credentials, and then it is one client of the doors more."""
