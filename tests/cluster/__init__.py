"""Several servers of each kind, as an installation on more than one machine has them, and everything that ends one."""
