"""Bundles the package for Amazon MWAA, and proves a bundle in a twin of MWAA's image on this machine."""
