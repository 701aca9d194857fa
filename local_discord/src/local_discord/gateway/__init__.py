"""The gateway: sessions over WebSockets, which are sent what happens in the world."""
