"""Measurements that the documentation quotes; each prints what it measured on the machine it runs on."""
